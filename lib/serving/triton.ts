import type { Construct } from 'constructs';
import { k8s } from 'cdk8s-plus-28';
import type { Accelerator } from '../definitions/accelerator';
import type { Connection } from '../kubernetes/connection';
import { images } from '../kubernetes/images';
import { httpProbe } from '../kubernetes/probe';
import type { Bytes, Cpu, Range } from '../definitions/quantity';
import { ManifestFile } from '../kubernetes/manifest-file';
import { emptyDir } from '../kubernetes/volume';
import { Workload } from '../kubernetes/workload';
import type { Sidecar } from '../kubernetes/workload-props';
import { LifecycleCode } from '../kubernetes/lifecycle-code';
import { ENVIRONMENT, FILES, PORTS, SIDECAR_PATHS } from '../definitions/names';
import type { SecretKey } from '../definitions/secret-ref';
import type { IObjectStore } from '../foundation/object-store';
import type { Secrets } from '../foundation/secrets';
import type { Observability } from '../observability/observability';
import { tritonObservability } from './triton-observability';

export interface TritonProps {
  readonly secrets: Secrets;
  readonly objectStore: IObjectStore;
  readonly observability: Observability;

  /** The GPUs of each server. */
  readonly accelerator: Accelerator;

  /**
   * Number of servers. The Service distributes requests over them.
   * @default 1
   */
  readonly replicas?: number;

  /**
   * Image of the sidecar that contains every package.
   * @default - Python and uv; each pod installs the packages when it starts
   */
  readonly sidecarImage?: string;

  /** @default - 200m, unlimited */
  readonly cpu?: Range<Cpu>;

  /** @default - 1Gi, at most 4Gi */
  readonly memory?: Range<Bytes>;
}

/** The server of predictions, as its clients see it. */
export interface IServing {
  /** Addresses of the HTTP and gRPC APIs, and of every replica's sidecar, which tells what the replica serves. */
  client(): Connection;
}

/**
 * Pods of a namespace with this label may request predictions:
 * `kubectl label namespace shop mlops-lifecycle/model-clients=true`. Triton has no login for that, so that the
 * NetworkPolicy is the only protection.
 */
const CLIENTS_LABEL = 'mlops-lifecycle/model-clients';

/** Triton Inference Server and its sidecar. Each server serves every model. */
export class Triton extends ManifestFile implements IServing {
  readonly server: Workload;

  constructor(scope: Construct, id: string, props: TritonProps) {
    super(scope, id, { file: '40-serving' });
    const code = new LifecycleCode(this, 'sidecar', {
      packages: 'sidecar',
      image: props.sidecarImage,
      environments: emptyDir('environments', '/environments', '2Gi'),
    });
    const admin = props.secrets.generate('triton-admin', { key: 'password' });
    this.server = new Workload(this, 'server', {
      name: 'triton',
      system: 'triton',
      component: 'server',
      image: images.triton,
      user: { uid: 1000, gid: 1000 },
      accelerator: props.accelerator,
      replicas: props.replicas,
      // A rolling update starts a new pod first, which waits for ever where every GPU is in use.
      strategy: props.accelerator.present ? 'Recreate' : 'RollingUpdate',
      ports: TRITON_PORTS,
      command: ['tritonserver'],
      args: serverArgs(),
      env: { [ENVIRONMENT.tritonAdminKey]: admin.key('key'), LD_PRELOAD: ALLOCATOR },
      cpu: props.cpu ?? { request: '200m' },
      memory: props.memory ?? { request: '1Gi', limit: '4Gi' },
      mounts: [
        { ...MODELS, readOnly: true },
        TRACES,
        emptyDir('tmp', '/tmp', '1Gi'),
        {
          path: '/dev/shm',
          volume: {
            name: 'shm',
            emptyDir: { medium: 'Memory', sizeLimit: k8s.Quantity.fromString('256Mi') },
          },
        },
      ],
      sidecars: [modelSync(props, code, admin.key('key'))],
      startupProbe: httpProbe('/v2/health/live', 'http', { periodSeconds: 2, failureThreshold: 150 }),
      readinessProbe: httpProbe('/v2/health/ready', 'http', { periodSeconds: 5 }),
      livenessProbe: httpProbe('/v2/health/live', 'http', { periodSeconds: 20, failureThreshold: 5 }),
      // Triton refuses new connections from SIGTERM on, so that the Service must have removed the pod before.
      lifecycle: { preStop: { exec: { command: ['sleep', String(PRE_STOP_SECONDS)] } } },
      terminationGracePeriodSeconds: PRE_STOP_SECONDS + EXIT_SECONDS + 10,
    });
    for (const port of ['http', 'grpc'])
      this.server.networkPolicy.allowFromNamespacesLabelled(CLIENTS_LABEL, this.server.endpoint(port).port);
    if (code.installs) this.server.networkPolicy.allowToOutside(443);
    this.replicas();
    tritonObservability(this, { observability: props.observability, server: this.server });
  }

  client(): Connection {
    const http = this.server.endpoint('http');
    const grpc = this.server.endpoint('grpc');
    const status = this.server.endpoint('status');
    return {
      endpoint: {
        ...http,
        open: (from) => {
          http.open(from);
          grpc.open(from);
          status.open(from);
        },
      },
      env: {
        [ENVIRONMENT.tritonHttpUrl]: `${http.host}:${http.port}`,
        [ENVIRONMENT.tritonGrpcUrl]: `${grpc.host}:${grpc.port}`,
        [ENVIRONMENT.tritonReplicas]: `${REPLICAS}.${this.namespace}.svc:${status.port}`,
      },
    };
  }

  /** A headless Service: DNS resolves its name to the addresses of all replicas, so that each can be asked. */
  private replicas(): void {
    new k8s.KubeService(this, 'replicas', {
      metadata: { name: REPLICAS },
      spec: {
        clusterIp: 'None',
        selector: this.server.selector,
        ports: [{ name: 'status', port: PORTS.sidecar, targetPort: k8s.IntOrString.fromString('status') }],
      },
    });
  }
}

/**
 * The sidecar. It loads the versions into Triton that the object store's pointers name, and counts sampled requests.
 * The pod is ready only once they serve.
 */
function modelSync(props: TritonProps, code: LifecycleCode, adminKey: SecretKey): Sidecar {
  const store = props.objectStore.client({ name: 'triton', buckets: { data: 'write', models: 'read' } });
  return {
    name: 'model-sync',
    image: code.image,
    command: code.command('lifecycle.sidecar'),
    connections: [store],
    env: {
      HOME: '/tmp',
      [ENVIRONMENT.modelRepository]: MODELS.path,
      [ENVIRONMENT.traceDir]: TRACES.path,
      [ENVIRONMENT.modelsBucket]: props.objectStore.bucket('models'),
      [ENVIRONMENT.dataBucket]: props.objectStore.bucket('data'),
      [ENVIRONMENT.tritonGrpcUrl]: `localhost:${TRITON_PORTS.grpc}`,
      [ENVIRONMENT.tritonAdminKey]: adminKey,
    },
    ports: { status: PORTS.sidecar },
    cpu: { request: '50m' },
    memory: { request: '128Mi', limit: '512Mi' },
    mounts: [...code.mounts, MODELS, TRACES, emptyDir('sync-tmp', '/tmp', '1Gi')],
    // Ten minutes, because without an image of its own the sidecar installs its packages first.
    startupProbe: httpProbe(SIDECAR_PATHS.status, 'status', { periodSeconds: 2, failureThreshold: 300 }),
    readinessProbe: httpProbe(SIDECAR_PATHS.ready, 'status', { periodSeconds: 3 }),
    livenessProbe: httpProbe(SIDECAR_PATHS.status, 'status', { periodSeconds: 20, failureThreshold: 5 }),
  };
}

const REPLICAS = 'triton-replicas';
const TRITON_PORTS = { http: 8000, grpc: 8001, metrics: 8002 };
const MODELS = emptyDir('models', '/models', '10Gi');
/** Sampled requests and their answers, which Triton writes. The sidecar reads and removes them. Lost with the pod. */
const TRACES = emptyDir('traces', '/traces', '1Gi');

/**
 * jemalloc, which Triton's image contains and its documentation describes. Triton unlocks the mutex of a traced request
 * after it has freed it. With glibc's allocator another thread may own that memory by then, and under load a request is
 * lost or the server crashes. jemalloc keeps memory that a thread has freed with that thread.
 * docs/decisions/0006-triton-runs-on-jemalloc.md has the stack trace and the figures.
 */
const ALLOCATOR = 'libjemalloc.so.2';

const PRE_STOP_SECONDS = 8;
const EXIT_SECONDS = 20;

/** APIs that control Triton and have no login of their own. Requests without the admin key get 403. */
const RESTRICTED = 'model-repository,shared-memory,statistics,trace,logging,model-config';

function serverArgs(): string[] {
  return [
    '--model-repository=/models',
    '--model-control-mode=explicit',
    // One bad model must neither stop the server nor take the whole Service down.
    '--exit-on-error=false',
    '--strict-readiness=false',
    `--exit-timeout-secs=${EXIT_SECONDS}`,
    '--metrics-config=summary_latencies=true',
    // The sidecar sets for each model which requests are traced.
    '--trace-config=mode=triton',
    `--trace-config=triton,file=${TRACES.path}/${FILES.trace}`,
    `--http-restricted-api=${RESTRICTED}:admin-key=$(${ENVIRONMENT.tritonAdminKey})`,
    `--grpc-restricted-protocol=${RESTRICTED}:admin-key=$(${ENVIRONMENT.tritonAdminKey})`,
  ];
}
