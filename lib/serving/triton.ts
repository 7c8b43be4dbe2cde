import type { Construct } from 'constructs';
import { k8s } from 'cdk8s-plus-28';
import type { Accelerator } from '../core/accelerator';
import type { Connection } from '../core/connection';
import { images } from '../core/images';
import { httpProbe } from '../core/probe';
import type { Bytes, Cpu, Range } from '../core/quantity';
import { Stage } from '../core/stage';
import { scratch } from '../core/volume';
import { Workload } from '../core/workload';
import type { Secrets } from '../foundation/secrets';
import type { Observability } from '../observability/observability';
import { tritonObservability } from './triton-observability';

export interface TritonProps {
  readonly secrets: Secrets;
  readonly observability: Observability;

  /** What each server computes on. */
  readonly accelerator: Accelerator;

  /**
   * Servers behind the Service.
   * @default 1
   */
  readonly replicas?: number;

  /** @default - 200m, unlimited */
  readonly cpu?: Range<Cpu>;

  /** @default - 1Gi, at most 4Gi */
  readonly memory?: Range<Bytes>;
}

/** Answers requests for predictions. */
export interface IServing {
  /** Where to ask, as `TRITON_HTTP_URL` and `TRITON_GRPC_URL`. */
  client(): Connection;
}

/** Triton Inference Server: serves every model, one server a node's GPUs. */
export class Triton extends Stage implements IServing {
  readonly server: Workload;

  constructor(scope: Construct, id: string, props: TritonProps) {
    super(scope, id, { file: '40-serving' });
    const admin = props.secrets.generate('triton-admin', { key: 'password' });
    this.server = new Workload(this, 'server', {
      name: 'triton',
      system: 'triton',
      component: 'server',
      image: images.triton,
      user: { uid: 1000, gid: 1000 },
      accelerator: props.accelerator,
      replicas: props.replicas,
      // A surging rollout waits for ever where every GPU is taken.
      strategy: props.accelerator.present ? 'Recreate' : 'RollingUpdate',
      ports: { http: 8000, grpc: 8001, metrics: 8002 },
      command: ['tritonserver'],
      args: serverArgs(),
      env: { TRITON_ADMIN_KEY: admin.key('key') },
      cpu: props.cpu ?? { request: '200m' },
      memory: props.memory ?? { request: '1Gi', limit: '4Gi' },
      mounts: [
        scratch('models', '/models', '10Gi'),
        scratch('tmp', '/tmp', '1Gi'),
        {
          path: '/dev/shm',
          volume: {
            name: 'shm',
            emptyDir: { medium: 'Memory', sizeLimit: k8s.Quantity.fromString('256Mi') },
          },
        },
      ],
      startupProbe: httpProbe('/v2/health/live', 'http', { periodSeconds: 2, failureThreshold: 150 }),
      readinessProbe: httpProbe('/v2/health/ready', 'http', { periodSeconds: 5 }),
      livenessProbe: httpProbe('/v2/health/live', 'http', { periodSeconds: 20, failureThreshold: 5 }),
      // New connections are cut at SIGTERM: first let the Service forget this pod.
      lifecycle: { preStop: { exec: { command: ['sleep', String(PRE_STOP_SECONDS)] } } },
      terminationGracePeriodSeconds: PRE_STOP_SECONDS + EXIT_SECONDS + 10,
    });
    tritonObservability(this, { observability: props.observability, server: this.server });
  }

  client(): Connection {
    const http = this.server.endpoint('http');
    const grpc = this.server.endpoint('grpc');
    return {
      endpoint: {
        ...http,
        open: (from) => {
          http.open(from);
          grpc.open(from);
        },
      },
      env: {
        TRITON_HTTP_URL: `${http.host}:${http.port}`,
        TRITON_GRPC_URL: `${grpc.host}:${grpc.port}`,
      },
    };
  }
}

const PRE_STOP_SECONDS = 8;
const EXIT_SECONDS = 20;

/** These have no login of their own; who lacks the key gets 403. */
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
    `--http-restricted-api=${RESTRICTED}:admin-key=$(TRITON_ADMIN_KEY)`,
    `--grpc-restricted-protocol=${RESTRICTED}:admin-key=$(TRITON_ADMIN_KEY)`,
  ];
}
