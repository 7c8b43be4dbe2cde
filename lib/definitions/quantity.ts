/** An amount of memory or storage as Kubernetes writes it: `512Mi`, `10Gi`. */
export type Bytes = `${number}${'Mi' | 'Gi' | 'Ti'}`;

/** An amount of CPU as Kubernetes writes it: `250m` (a quarter of a core), `2` (two cores). */
export type Cpu = `${number}m` | `${number}`;

/** Request and limit of one resource, as in a container's `resources`. */
export interface Range<T> {
  /** The amount that Kubernetes reserves for the container. */
  readonly request: T;
  /**
   * The most that the container may use, not below the request. Above it CPU is throttled, and a container that needs
   * more memory is killed.
   * @default - the request for memory; no limit for CPU
   */
  readonly limit?: T;
}

const MEBI = 2 ** 20;
const UNITS: Record<string, number> = { Mi: MEBI, Gi: MEBI * 1024, Ti: MEBI * 1024 * 1024 };

/** The number of bytes, or undefined where the text is not a positive whole number of Mi, Gi or Ti. */
export function parseBytes(text: string): number | undefined {
  const match = /^([1-9]\d{0,6})(Mi|Gi|Ti)$/.exec(text);
  return match ? Number(match[1]) * UNITS[match[2]!]! : undefined;
}

/** The number of cores, or undefined where the text is not a positive whole number of cores or millicores. */
export function parseCpu(text: string): number | undefined {
  const match = /^([1-9]\d{0,5})(m?)$/.exec(text);
  return match ? Number(match[1]) / (match[2] ? 1000 : 1) : undefined;
}

/**
 * The form in which the API server stores an amount: `1000m` as `1`, `1024Mi` as `1Gi`.
 * With any other form every `kubectl apply` would report a change.
 */
export function canonicalCpu(text: Cpu): Cpu {
  const cores = parseCpu(text)!;
  return Number.isInteger(cores) ? (`${cores}` as Cpu) : (`${Math.round(cores * 1000)}m` as Cpu);
}

/** @see canonicalCpu */
export function canonicalBytes(text: Bytes): Bytes {
  let amount = parseBytes(text)! / MEBI;
  let unit: 'Mi' | 'Gi' | 'Ti' = 'Mi';
  if (amount % 1024 === 0) [amount, unit] = [amount / 1024, 'Gi'];
  if (unit === 'Gi' && amount % 1024 === 0) [amount, unit] = [amount / 1024, 'Ti'];
  return `${amount}${unit}`;
}
