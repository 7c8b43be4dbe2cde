import type { k8s } from 'cdk8s-plus-28';
import type { Accelerator } from '../definitions/accelerator';
import type { Connection, EnvValue } from './connection';
import type { ContainerUser } from './pod-defaults';
import type { Bytes, Cpu, Range } from '../definitions/quantity';
import type { Grant } from './service-account';
import type { Mount } from './volume';

/** An init container with the workload's own image and environment, for a migration of its database for example. */
export interface InitContainer {
  readonly name: string;
  readonly command?: string[];
  readonly args?: string[];
}

/** Another container of the same pod, with its own image, environment and connections. */
export interface Sidecar {
  readonly name: string;
  readonly image: string;
  readonly cpu: Range<Cpu>;
  readonly memory: Range<Bytes>;
  readonly command?: string[];
  readonly args?: string[];
  /** Port name to number. The workload's Service has them too. @default - none */
  readonly ports?: Readonly<Record<string, number>>;
  /** @default - none */
  readonly env?: Readonly<Record<string, EnvValue>>;
  /**
   * Servers that this container alone uses. The main container does not get their variables, and no init container
   * waits for them.
   * @default - nothing
   */
  readonly connections?: readonly Connection[];
  /** @default - none */
  readonly mounts?: readonly Mount[];
  readonly startupProbe?: k8s.Probe;
  readonly readinessProbe?: k8s.Probe;
  readonly livenessProbe?: k8s.Probe;
  /**
   * Whether it must have started, by its startup probe, before the main container starts. It is then an init container
   * with the restart policy `Always`.
   * @default false
   */
  readonly startsFirst?: boolean;
}

export interface WorkloadProps {
  /** Name of its objects in the cluster: controller, Service, ServiceAccount and NetworkPolicy. */
  readonly name: string;
  /** The system it belongs to, as `app.kubernetes.io/name`: `airflow`. */
  readonly system: string;
  /** Its part in that system, as `app.kubernetes.io/component`: `scheduler`. */
  readonly component: string;
  readonly image: string;
  readonly user: ContainerUser;
  readonly cpu: Range<Cpu>;
  readonly memory: Range<Bytes>;

  /**
   * Kind of the controller. A Job runs once for each content of its pod template: its name ends in a hash of that,
   * because a Job's template is immutable. What it does must be safe to repeat.
   * @default Deployment
   */
  readonly kind?: 'Deployment' | 'StatefulSet' | 'Job';

  /** @default mlops-platform */
  readonly namespace?: string;

  /** @default 1 */
  readonly replicas?: number;

  /**
   * `Recreate` where two pods must not run at the same time.
   * @default RollingUpdate
   */
  readonly strategy?: 'RollingUpdate' | 'Recreate';

  /** @default - the image's entry point */
  readonly command?: string[];

  /** @default - the image's own */
  readonly args?: string[];

  /**
   * Port name to number. A workload with ports gets a Service with the same ones.
   * @default - none
   */
  readonly ports?: Readonly<Record<string, number>>;

  /**
   * Those of `ports`, by name, that take UDP.
   * @default - none: all take TCP
   */
  readonly udpPorts?: readonly string[];

  /** @default - none */
  readonly env?: Readonly<Record<string, EnvValue>>;

  /** @default - none */
  readonly mounts?: readonly Mount[];

  /** @default - none */
  readonly initContainers?: readonly InitContainer[];

  /** @default - none */
  readonly sidecars?: readonly Sidecar[];

  readonly startupProbe?: k8s.Probe;
  readonly readinessProbe?: k8s.Probe;
  readonly livenessProbe?: k8s.Probe;
  readonly lifecycle?: k8s.Lifecycle;

  /**
   * Seconds between SIGTERM and SIGKILL.
   * @default 30
   */
  readonly terminationGracePeriodSeconds?: number;

  /** @default - none */
  readonly accelerator?: Accelerator;

  /**
   * Rights of its pods through the Kubernetes API.
   * @default - none, and no token is mounted
   */
  readonly grants?: readonly Grant[];
}
