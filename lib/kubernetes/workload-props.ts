import type { k8s } from 'cdk8s-plus-28';
import type { Accelerator } from '../definitions/accelerator';
import type { Connection, EnvValue } from './connection';
import type { ContainerUser } from './pod-defaults';
import type { Bytes, Cpu, Range } from '../definitions/quantity';
import type { Grant } from './service-account';
import type { Mount } from './volume';

/** A step before the main container, in the workload's own image and environment: a migration, say. */
export interface InitContainer {
  readonly name: string;
  readonly command?: string[];
  readonly args?: string[];
}

/** A container that lives beside the main one, in the same pod, with an image and a wiring of its own. */
export interface Sidecar {
  readonly name: string;
  readonly image: string;
  readonly cpu: Range<Cpu>;
  readonly memory: Range<Bytes>;
  readonly command?: string[];
  readonly args?: string[];
  /** Its ports are the Service's too. @default - none */
  readonly ports?: Readonly<Record<string, number>>;
  /** @default - none */
  readonly env?: Readonly<Record<string, EnvValue>>;
  /**
   * What it alone is wired to: neither the variables nor a wait for the other side reach the main container.
   * @default - nothing
   */
  readonly connections?: readonly Connection[];
  /** @default - none */
  readonly mounts?: readonly Mount[];
  readonly startupProbe?: k8s.Probe;
  readonly readinessProbe?: k8s.Probe;
  readonly livenessProbe?: k8s.Probe;
  /**
   * Started, by its startup probe, before the main container is.
   * @default false
   */
  readonly startsFirst?: boolean;
}

export interface WorkloadProps {
  /** Name in the cluster, of the pods and of the Service. */
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
   * A Job runs once for each content: its name ends in a hash of what it runs,
   * because a Job's template is immutable. It must be safe to run twice.
   * @default Deployment
   */
  readonly kind?: 'Deployment' | 'StatefulSet' | 'Job';

  /** @default mlops-platform */
  readonly namespace?: string;

  /** @default 1 */
  readonly replicas?: number;

  /**
   * `Recreate` where two pods at once would harm each other.
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
   * What it may do through the Kubernetes API.
   * @default - nothing, and no token is mounted
   */
  readonly grants?: readonly Grant[];
}
