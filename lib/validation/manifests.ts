/** A Kubernetes object of `dist/`. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Record<string, string>;
    readonly annotations?: Record<string, string>;
  };
  // Every kind has its own shape below this point.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly [key: string]: any;
}

interface Container {
  readonly name: string;
  readonly image: string;
  readonly command?: string[];
  readonly args?: string[];
  readonly ports?: { name?: string; containerPort: number }[];
  readonly env?: {
    name: string;
    value?: string;
    valueFrom?: {
      secretKeyRef?: { name: string; key: string };
      configMapKeyRef?: { name: string; key: string };
    };
  }[];
  readonly envFrom?: { secretRef?: { name: string }; configMapRef?: { name: string } }[];
  readonly volumeMounts?: { name: string; mountPath: string }[];
}

/** A pod that some object makes. */
export interface Pod {
  /** The object that makes it: `Deployment mlops-platform/mlflow`. */
  readonly owner: string;
  readonly namespace: string;
  readonly labels: Record<string, string>;
  readonly containers: readonly Container[];
  readonly initContainers: readonly Container[];
  readonly portNames: readonly string[];
  readonly portNumbers: readonly number[];
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly spec: any;
}

/** `Deployment mlops-platform/mlflow`: how errors name an object. */
export function title(manifest: Manifest): string {
  const { kind, metadata } = manifest;
  return `${kind} ${metadata.namespace ? `${metadata.namespace}/` : ''}${metadata.name}`;
}

/** The pods that these objects make, those of the Prometheus operator included. */
export function podsOf(manifests: readonly Manifest[]): Pod[] {
  return manifests.flatMap((manifest): Pod[] => {
    if (manifest.kind === 'Prometheus' || manifest.kind === 'Alertmanager') return [operatorPod(manifest)];
    const template = templateOf(manifest);
    if (!template?.spec?.containers) return [];
    const containers: Container[] = template.spec.containers;
    const ports = containers.flatMap((container) => container.ports ?? []);
    return [
      {
        owner: title(manifest),
        namespace: manifest.metadata.namespace!,
        labels: template.metadata?.labels ?? {},
        containers,
        initContainers: template.spec.initContainers ?? [],
        portNames: ports.flatMap(({ name }) => name ?? []),
        portNumbers: ports.map(({ containerPort }) => containerPort),
        spec: template.spec,
      },
    ];
  });
}

function templateOf(manifest: Manifest) {
  if (manifest.kind === 'Pod') return manifest;
  if (manifest.kind === 'CronJob') return manifest.spec.jobTemplate.spec.template;
  return manifest.spec?.template;
}

/** The pod that the Prometheus operator makes. Its port is named `web` and has the program's default number. */
function operatorPod(manifest: Manifest): Pod {
  return {
    owner: title(manifest),
    namespace: manifest.metadata.namespace!,
    labels: manifest.spec.podMetadata?.labels ?? {},
    containers: [],
    initContainers: [],
    portNames: ['web'],
    portNumbers: [manifest.kind === 'Prometheus' ? 9090 : 9093],
    spec: manifest.spec,
  };
}

/** Whether labels match a selector's `matchLabels`. */
export function matches(
  labels: Record<string, string> | undefined,
  selector: Record<string, string> | undefined,
): boolean {
  return Object.entries(selector ?? {}).every(([key, value]) => labels?.[key] === value);
}

/** Every string in a value, with its path. */
export function* strings(value: unknown, path = ''): Generator<{ path: string; text: string }> {
  if (typeof value === 'string') yield { path, text: value };
  else if (Array.isArray(value))
    for (const [i, item] of value.entries()) yield* strings(item, `${path}[${i}]`);
  else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) yield* strings(item, path ? `${path}.${key}` : key);
  }
}
