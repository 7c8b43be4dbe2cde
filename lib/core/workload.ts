import { Lazy } from 'cdk8s';
import { k8s } from 'cdk8s-plus-28';
import { Construct } from 'constructs';
import type { Accelerator } from './accelerator';
import type { Connection, Endpoint, EnvValue } from './connection';
import { DefinitionError } from './definition-error';
import { Firewall } from './firewall';
import { type ContainerUser, envVars, resources, restrictedContainer, restrictedPod } from './pod-defaults';
import type { Bytes, Cpu, Range } from './quantity';
import { type Grant, ServiceIdentity } from './service-identity';
import { PLATFORM_NAMESPACE } from './stage';
import { contentHash, type Mount } from './volume';

/** A step before the main container, in the workload's own image and environment: a migration, say. */
export interface InitStep {
  readonly name: string;
  readonly command?: string[];
  readonly args?: string[];
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
  readonly initSteps?: readonly InitStep[];

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

/**
 * A long-running program with its Service, its account, its firewall and its
 * wiring: the one place where pods get their defaults.
 */
export class Workload extends Construct {
  readonly firewall: Firewall;
  readonly name: string;
  readonly namespace: string;
  /** What selects the pods. Selectors are immutable: never add to it. */
  readonly selector: Record<string, string>;
  private readonly connections: Connection[] = [];
  private readonly env: Record<string, EnvValue> = {};
  private readonly identity: ServiceIdentity;

  constructor(
    scope: Construct,
    id: string,
    readonly props: WorkloadProps,
  ) {
    super(scope, id);
    this.name = props.name;
    this.namespace = props.namespace ?? PLATFORM_NAMESPACE;
    this.selector = {
      'app.kubernetes.io/name': props.system,
      'app.kubernetes.io/component': props.component,
    };
    this.identity = new ServiceIdentity(this, 'identity', {
      name: props.name,
      namespace: this.namespace,
      grants: props.grants ?? [],
    });
    this.firewall = new Firewall(this, 'firewall', {
      name: props.name,
      namespace: this.namespace,
      pods: this.selector,
    });
    if (this.identity.usesApi) this.firewall.allowToKubernetesApi();
    this.controller();
    if (props.ports) this.service(props.ports);
    if ((props.replicas ?? 1) > 1) this.disruptionBudget();
  }

  /**
   * Wires this workload to another: address and credentials into its
   * environment, the edge into both firewalls, and a wait before its start.
   * @throws DefinitionError when two connections bring the same variable.
   */
  uses(...connections: Connection[]): void {
    for (const connection of connections) {
      for (const variable of Object.keys(connection.env)) {
        if (variable in this.env) {
          throw new DefinitionError(
            `workload '${this.name}'`,
            'is wired to two things that set the same environment variable',
            variable,
          );
        }
      }
      Object.assign(this.env, connection.env);
      connection.endpoint.open(this.firewall);
      this.connections.push(connection);
    }
  }

  /** Sets a variable after construction: what a later room registered, say. */
  setEnv(name: string, value: EnvValue): void {
    this.env[name] = value;
  }

  /** @throws DefinitionError when there is no such port. */
  endpoint(portName: string): Endpoint {
    const port = this.props.ports?.[portName];
    if (port === undefined) {
      throw new DefinitionError(
        `workload '${this.name}'`,
        `has the ports ${Object.keys(this.props.ports ?? {}).join(', ') || '(none)'}`,
        portName,
      );
    }
    return {
      host: `${this.name}.${this.namespace}.svc`,
      port,
      open: (from) => from.allowTo(this.firewall, port),
    };
  }

  private controller(): void {
    if (this.props.kind === 'Job') return this.job();
    const spec = {
      replicas: this.props.replicas ?? 1,
      selector: { matchLabels: this.selector },
      template: Lazy.any({ produce: () => this.template() }),
    };
    const metadata = this.metadata();
    if (this.props.kind === 'StatefulSet') {
      new k8s.KubeStatefulSet(this, 'stateful-set', { metadata, spec: { ...spec, serviceName: this.name } });
    } else {
      new k8s.KubeDeployment(this, 'deployment', {
        metadata,
        // Old ReplicaSets are for `kubectl rollout undo`; `dist/` in git holds the history.
        spec: {
          ...spec,
          revisionHistoryLimit: 3,
          strategy: STRATEGIES[this.props.strategy ?? 'RollingUpdate'],
        },
      });
    }
  }

  private job(): void {
    const name = () => `${this.name}-${contentHash(this.template())}`;
    new k8s.KubeJob(this, 'job', {
      metadata: { ...this.metadata(), name: Lazy.any({ produce: name }) },
      spec: {
        backoffLimit: 20,
        // Long enough that a second `kubectl apply` on the same day finds it done.
        ttlSecondsAfterFinished: 7 * 24 * 3600,
        template: Lazy.any({ produce: () => this.template() }),
      },
    });
  }

  private service(ports: Readonly<Record<string, number>>): void {
    new k8s.KubeService(this, 'service', {
      metadata: this.metadata(),
      spec: {
        selector: this.selector,
        ports: Object.entries(ports).map(([name, port]) => ({
          name,
          port,
          targetPort: k8s.IntOrString.fromString(name),
        })),
      },
    });
  }

  private disruptionBudget(): void {
    new k8s.KubePodDisruptionBudget(this, 'disruption-budget', {
      metadata: this.metadata(),
      spec: { maxUnavailable: k8s.IntOrString.fromNumber(1), selector: { matchLabels: this.selector } },
    });
  }

  private metadata(): k8s.ObjectMeta {
    return { name: this.name, namespace: this.namespace, labels: this.selector };
  }

  private template(): k8s.PodTemplateSpec {
    const { props } = this;
    const mounts = props.mounts ?? [];
    const accelerated = props.accelerator?.forPod();
    const hash = mounts.flatMap((mount) => mount.contentHash?.() ?? []).join('-');
    const waits = this.connections.flatMap((connection) => connection.waitContainer ?? []);
    const shared = {
      image: props.image,
      env: orNothing(envVars({ ...this.env, ...props.env })),
      resources: resources(props.cpu, props.memory, accelerated?.limits),
      securityContext: restrictedContainer,
      volumeMounts: orNothing(mounts.map(volumeMount)),
    };
    return {
      metadata: {
        labels: this.selector,
        annotations: hash ? { 'mlops-lifecycle/config': hash } : undefined,
      },
      spec: {
        serviceAccountName: this.identity.name,
        automountServiceAccountToken: this.identity.usesApi,
        enableServiceLinks: false,
        restartPolicy: props.kind === 'Job' ? 'OnFailure' : undefined,
        securityContext: restrictedPod(props.user),
        terminationGracePeriodSeconds: props.terminationGracePeriodSeconds ?? 30,
        runtimeClassName: accelerated?.runtimeClassName,
        nodeSelector: accelerated?.nodeSelector,
        tolerations: accelerated?.tolerations,
        topologySpreadConstraints: (props.replicas ?? 1) > 1 ? [this.spreadOverNodes()] : undefined,
        initContainers: orNothing([
          ...waits,
          ...(props.initSteps ?? []).map((step) => ({ ...shared, ...step })),
        ]),
        containers: [
          {
            ...shared,
            name: props.component,
            command: props.command,
            args: props.args,
            ports: orNothing(
              Object.entries(props.ports ?? {}).map(([name, containerPort]) => ({ name, containerPort })),
            ),
            startupProbe: props.startupProbe,
            readinessProbe: props.readinessProbe,
            livenessProbe: props.livenessProbe,
            lifecycle: props.lifecycle,
          },
        ],
        volumes: orNothing(this.volumes(waits.length > 0)),
      },
    };
  }

  /** Several mounts may share a volume; waiting needs a place to write. */
  private volumes(waits: boolean): k8s.Volume[] {
    const volumes = new Map((this.props.mounts ?? []).map(({ volume }) => [volume.name, volume]));
    if (waits && !volumes.has('tmp')) volumes.set('tmp', { name: 'tmp', emptyDir: {} });
    return [...volumes.values()];
  }

  private spreadOverNodes(): k8s.TopologySpreadConstraint {
    return {
      maxSkew: 1,
      topologyKey: 'kubernetes.io/hostname',
      whenUnsatisfiable: 'ScheduleAnyway',
      labelSelector: { matchLabels: this.selector },
    };
  }
}

/** Written out in full: kubectl sees a change in every apply where the API server filled in the rest. */
const STRATEGIES: Record<'RollingUpdate' | 'Recreate', k8s.DeploymentStrategy> = {
  Recreate: { type: 'Recreate' },
  RollingUpdate: {
    type: 'RollingUpdate',
    rollingUpdate: { maxSurge: k8s.IntOrString.fromNumber(1), maxUnavailable: k8s.IntOrString.fromNumber(0) },
  },
};

function volumeMount(mount: Mount): k8s.VolumeMount {
  return { name: mount.volume.name, mountPath: mount.path, subPath: mount.subPath, readOnly: mount.readOnly };
}

function orNothing<T>(list: T[]): T[] | undefined {
  return list.length > 0 ? list : undefined;
}
