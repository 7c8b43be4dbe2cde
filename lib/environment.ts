import { z } from 'zod';
import { Accelerator } from './definitions/accelerator';
import type { IngressSettings } from './kubernetes/ingress';
import { parse } from './definitions/parse';
import type { Bytes } from './definitions/quantity';
import { rules, type Duration } from './definitions/rules';
import { SecretRef } from './definitions/secret-ref';
import { Database } from './foundation/database';
import { ObjectStore } from './foundation/object-store';

/** A cluster the platform runs on. Everything has a default: name only what differs. */
export interface EnvironmentProps {
  /**
   * Which Postgres holds the metadata of Airflow and MLflow.
   * @default - Postgres in the cluster, 10Gi
   */
  readonly database?: Database;

  /**
   * Which S3 holds data, artifacts, models and logs.
   * @default - MinIO in the cluster, 50Gi
   */
  readonly objectStore?: ObjectStore;

  /**
   * What each Triton server computes on.
   * @default - no GPU
   */
  readonly accelerator?: Accelerator;

  /**
   * GPUs in the whole cluster, Triton's among them; training may have the rest.
   * @default - as many as Triton takes
   */
  readonly gpus?: number;

  /**
   * Triton servers, each of which serves every model.
   * @default 1
   */
  readonly tritonReplicas?: number;

  /**
   * MLflow servers.
   * @default 1
   */
  readonly mlflowReplicas?: number;

  /**
   * Servers of Airflow's pages and API.
   * @default 1
   */
  readonly airflowApiServerReplicas?: number;

  /**
   * Airflow tasks that run at the same time.
   * @default 8
   */
  readonly parallelism?: number;

  /**
   * Pages open at `<name>.<domain>`. Browsers lead every name under localhost to this machine.
   * @default mlops.localhost
   */
  readonly domain?: string;

  /**
   * IngressClass of the pages.
   * @default - the cluster's default class
   */
  readonly ingressClass?: string;

  /**
   * Namespace of the ingress controller; k3s runs Traefik in kube-system.
   * @default kube-system
   */
  readonly ingressNamespace?: string;

  /**
   * Secret of type kubernetes.io/tls for `*.<domain>`.
   * @default - plain http
   */
  readonly tlsSecretName?: string;

  /**
   * StorageClass of every volume that the platform claims.
   * @default - the cluster's default storage class
   */
  readonly storageClass?: string;

  /**
   * An image that holds every package of the steps and of Triton's sidecar, as
   * `python/Dockerfile` makes it: `registry.example.com/mlops/steps:1`.
   * @default - Python and uv, which install the locked packages from the public index
   */
  readonly stepImage?: string;

  /**
   * How long Prometheus keeps samples.
   * @default 15d
   */
  readonly metricsRetention?: Duration;

  /**
   * Size of Prometheus' volume.
   * @default 10Gi
   */
  readonly metricsStorage?: Bytes;
}

const schema = z
  .strictObject({
    database: z
      .custom<Database>(hasBind, 'must be Database.inCluster(…) or Database.external(…)')
      .prefault(() => Database.inCluster()),
    objectStore: z
      .custom<ObjectStore>(hasBind, 'must be ObjectStore.inCluster(…) or ObjectStore.external(…)')
      .prefault(() => ObjectStore.inCluster()),
    accelerator: z
      .custom<Accelerator>(
        (value) => value instanceof Accelerator,
        'must be Accelerator.none() or Accelerator.nvidia(…)',
      )
      .prefault(() => Accelerator.none()),
    gpus: rules.gpus().optional(),
    tritonReplicas: rules.whole(1, 100).default(1),
    mlflowReplicas: rules.whole(1, 20).default(1),
    airflowApiServerReplicas: rules.whole(1, 20).default(1),
    parallelism: rules.whole(1, 1000).default(8),
    domain: rules.host().default('mlops.localhost'),
    ingressClass: rules.dnsLabel(63).optional(),
    ingressNamespace: rules.dnsLabel(63).default('kube-system'),
    tlsSecretName: rules.dnsLabel(63).optional(),
    storageClass: rules.dnsLabel(63).optional(),
    stepImage: rules.image().optional(),
    metricsRetention: rules.duration().default('15d'),
    metricsStorage: rules.bytes().default('10Gi'),
  })
  .refine(
    ({ accelerator, tritonReplicas, gpus }) => (gpus ?? Infinity) >= accelerator.count * tritonReplicas,
    {
      path: ['gpus'],
      error: 'must not be fewer than Triton takes (accelerator.count × tritonReplicas)',
    },
  )
  .refine(({ accelerator, gpus }) => gpus === undefined || accelerator.present, {
    path: ['gpus'],
    error: 'needs an accelerator, which says what kind of GPU these are: Accelerator.nvidia(…)',
  });

/** A cluster whose every value is checked and whose defaults are filled in. */
export interface Environment extends z.output<typeof schema> {
  readonly ingress: IngressSettings;
  /** GPUs that Triton leaves to training. */
  readonly trainingGpus: number;
  /** Secrets that the cluster's owner must have put there. */
  readonly externalSecrets: readonly SecretRef[];
}

/** @throws DefinitionErrors with every violation: its path, the value, and the way out. */
export function defineEnvironment(props: EnvironmentProps): Environment {
  const values = parse(schema, props, 'environment');
  const triton = values.accelerator.count * values.tritonReplicas;
  return {
    ...values,
    ingress: {
      domain: values.domain,
      controllerNamespace: values.ingressNamespace,
      ingressClass: values.ingressClass,
      tlsSecretName: values.tlsSecretName,
    },
    trainingGpus: (values.gpus ?? triton) - triton,
    externalSecrets: [
      ...values.database.externalSecrets,
      ...values.objectStore.externalSecrets,
      ...(values.tlsSecretName ? [SecretRef.external(values.tlsSecretName, ['tls.crt', 'tls.key'])] : []),
    ],
  };
}

function hasBind(value: unknown): boolean {
  // Functions have one too, and `Database.inCluster` without its parentheses is one.
  return typeof value === 'object' && typeof (value as { bind?: unknown } | null)?.bind === 'function';
}
