/** An amount of memory or storage in Kubernetes' own spelling: `512Mi`, `10Gi`. */
export type Bytes = `${number}${'Mi' | 'Gi' | 'Ti'}`;

/** An amount of CPU in Kubernetes' own spelling: `250m` (a quarter of a core), `2`. */
export type Cpu = `${number}m` | `${number}`;

/** What is guaranteed, and where it stops. */
export interface Range<T> {
  /** What is guaranteed. */
  readonly request: T;
  /**
   * Where it stops.
   * @default - the request for memory; no limit for CPU, which is throttled rather than killed
   */
  readonly limit?: T;
}

const MEBI = 2 ** 20;
const UNITS: Record<string, number> = { Mi: MEBI, Gi: MEBI * 1024, Ti: MEBI * 1024 * 1024 };

/** Bytes in a quantity, or undefined where the text is no positive amount in Mi, Gi or Ti. */
export function parseBytes(text: string): number | undefined {
  const match = /^([1-9]\d{0,6})(Mi|Gi|Ti)$/.exec(text);
  return match ? Number(match[1]) * UNITS[match[2]!]! : undefined;
}

/** Cores in a quantity, or undefined where the text is no positive number of cores or millicores. */
export function parseCpu(text: string): number | undefined {
  const match = /^([1-9]\d{0,5})(m?)$/.exec(text);
  return match ? Number(match[1]) / (match[2] ? 1000 : 1) : undefined;
}

/**
 * The spelling the API server stores: `1000m` is kept as `1`, `1024Mi` as `1Gi`.
 * Any other spelling would make every `kubectl apply` report a change.
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
