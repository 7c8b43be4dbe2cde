import { z } from 'zod';
import { Accelerator } from './definitions/accelerator';
import type { IngressSettings } from './kubernetes/ingress';
import { parse } from './definitions/parse';
import { rules } from './definitions/rules';
import { SecretRef } from './definitions/secret-ref';
import { Database } from './foundation/database';
import { ObjectStore } from './foundation/object-store';
import { Monitoring } from './monitoring/monitoring';

/** The environment's name, from its folder below `dist/`. The folder `.`, `dist/` itself, is the workstation's. */
export function environmentName(folder: string): string {
  return folder === '.' ? 'workstation' : folder;
}

/** A cluster that the platform runs on. Every prop has a default: set only what differs from it. */
export interface EnvironmentProps {
  /**
   * The Postgres that holds the metadata of Airflow and MLflow.
   * @default - Postgres in the cluster, 10Gi
   */
  readonly database?: Database;

  /**
   * The S3 store that holds batches of data, artifacts, models and logs.
   * @default - MinIO in the cluster, 50Gi
   */
  readonly objectStore?: ObjectStore;

  /**
   * The GPUs of each Triton server.
   * @default - no GPU
   */
  readonly accelerator?: Accelerator;

  /**
   * Number of GPUs in the whole cluster: those of Triton (`accelerator.count` × `tritonReplicas`), and the rest, which
   * training may use. It needs an `accelerator`.
   * @default - as many as Triton uses, so that training has none
   */
  readonly gpus?: number;

  /**
   * Number of Triton servers, 1 to 100. Each serves every model.
   * @default 1
   */
  readonly tritonReplicas?: number;

  /**
   * Number of MLflow servers, 1 to 20.
   * @default 1
   */
  readonly mlflowReplicas?: number;

  /**
   * Number of Airflow API servers, which also serve its web pages, 1 to 20.
   * @default 1
   */
  readonly airflowApiServerReplicas?: number;

  /**
   * Number of Airflow tasks that run at the same time, 1 to 1000. A task that waits for its step pod is deferred and
   * does not count.
   * @default 8
   */
  readonly parallelism?: number;

  /**
   * DNS domain of the web pages, which open at `<name>.<domain>`, as in `airflow.mlops.localhost`. Browsers resolve
   * every name under `localhost` to the machine that they run on.
   * @default mlops.localhost
   */
  readonly domain?: string;

  /**
   * IngressClass of the web pages' Ingresses.
   * @default - the cluster's default class
   */
  readonly ingressClass?: string;

  /**
   * Namespace of the ingress controller, from which alone the NetworkPolicies allow requests to the web pages. k3s
   * runs Traefik in kube-system.
   * @default kube-system
   */
  readonly ingressNamespace?: string;

  /**
   * Secret of type kubernetes.io/tls for `*.<domain>`, in mlops-platform. Create it before `kubectl apply`.
   * @default - plain http
   */
  readonly tlsSecretName?: string;

  /**
   * Whether browsers open the pages with https. Set it to true if something before the cluster, such as a load
   * balancer, ends TLS: then links to the pages begin with https, and MLflow refuses the requests of pages that were
   * opened with http.
   * @default - true with `tlsSecretName`, else false
   */
  readonly https?: boolean;

  /**
   * Port at which browsers reach the ingress controller, for links to the pages: those in `npm run status`, between
   * Airflow and MLflow, and in the logs of steps. The pages themselves open at any port.
   * @default - 80, or 443 with https
   */
  readonly ingressPort?: number;

  /**
   * StorageClass of every PersistentVolumeClaim. Kubernetes does not let a claim change it later.
   * @default - the cluster's default storage class
   */
  readonly storageClass?: string;

  /**
   * Image that contains every Python package of the steps and of Triton's sidecar, with its registry and an exact tag
   * or a digest: `registry.example.com/mlops/steps:1`. `python/Dockerfile` builds it.
   * @default - an image with Python and uv, which installs the locked packages from the public package index
   */
  readonly stepImage?: string;

  /**
   * Who watches: a Prometheus that the platform runs, or the one that the cluster has.
   * @default - Prometheus, Alertmanager and Grafana in the cluster; samples are kept for 15d, on 10Gi
   */
  readonly monitoring?: Monitoring;
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
    https: z.boolean().optional(),
    ingressPort: rules.whole(1, 65535).optional(),
    storageClass: rules.dnsLabel(63).optional(),
    stepImage: rules.image().optional(),
    monitoring: z
      .custom<Monitoring>(
        (value) => hasBind(value) && 'bringsDefinitions' in (value as object),
        'must be Monitoring.own(…) or Monitoring.existing(…)',
      )
      .prefault(() => Monitoring.own()),
  })
  .refine(
    ({ accelerator, tritonReplicas, gpus }) => (gpus ?? Infinity) >= accelerator.count * tritonReplicas,
    {
      path: ['gpus'],
      error: 'must not be fewer than Triton takes (accelerator.count × tritonReplicas)',
    },
  )
  .refine(({ https, tlsSecretName }) => https !== false || tlsSecretName === undefined, {
    path: ['https'],
    error: 'must be true with a tlsSecretName, which is for https',
  })
  .refine(({ accelerator, gpus }) => gpus === undefined || accelerator.present, {
    path: ['gpus'],
    error: 'needs an accelerator, which says what kind of GPU these are: Accelerator.nvidia(…)',
  });

/** An environment whose values are checked and whose defaults are filled in. */
export interface Environment extends z.output<typeof schema> {
  readonly ingress: IngressSettings;
  /** Number of GPUs that training may use: all but Triton's. */
  readonly trainingGpus: number;
  /** Secrets that must exist in the cluster before `kubectl apply`. */
  readonly externalSecrets: readonly SecretRef[];
}

/**
 * Checks an environment and fills in its defaults. A file in `environments/` exports the result.
 * @throws DefinitionErrors with every fault: its path, the value received, and what is allowed.
 */
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
      https: values.https,
      port: values.ingressPort,
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
  // Only an object: every function has a `bind` too, `Database.inCluster` without its parentheses for one.
  return typeof value === 'object' && typeof (value as { bind?: unknown } | null)?.bind === 'function';
}
