import { Lazy } from 'cdk8s';
import { k8s } from 'cdk8s-plus-28';
import { Construct } from 'constructs';
import type { Connection, Endpoint, EnvValue } from './connection';
import { DefinitionError } from '../definitions/definition-error';
import { NetworkPolicy } from './network-policy';
import { podTemplate } from './pod-template';
import { ServiceAccount } from './service-account';
import { PLATFORM_NAMESPACE } from './namespaces';
import { contentHash } from './volume';
import type { WorkloadProps } from './workload-props';

/**
 * A long-running program with its Service, its account, its NetworkPolicy and its
 * wiring: the one place where pods get their defaults.
 */
export class Workload extends Construct {
  readonly networkPolicy: NetworkPolicy;
  readonly name: string;
  readonly namespace: string;
  /** What selects the pods. Selectors are immutable: never add to it. */
  readonly selector: Record<string, string>;
  private readonly connections: Connection[] = [];
  private readonly env: Record<string, EnvValue> = {};
  private readonly serviceAccount: ServiceAccount;

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
    this.serviceAccount = new ServiceAccount(this, 'service-account', {
      name: props.name,
      namespace: this.namespace,
      grants: props.grants ?? [],
    });
    this.networkPolicy = new NetworkPolicy(this, 'network-policy', {
      name: props.name,
      namespace: this.namespace,
      pods: this.selector,
    });
    if (this.serviceAccount.usesApi) this.networkPolicy.allowToKubernetesApi();
    this.controller();
    for (const { connections } of props.sidecars ?? []) {
      for (const { endpoint } of connections ?? []) endpoint.open(this.networkPolicy);
    }
    if (Object.keys(this.ports).length > 0) this.service(this.ports);
    if ((props.replicas ?? 1) > 1) this.disruptionBudget();
  }

  /**
   * Wires this workload to another: address and credentials into its
   * environment, the edge into both NetworkPolicies, and a wait before its start.
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
      connection.endpoint.open(this.networkPolicy);
      this.connections.push(connection);
    }
  }

  /** Sets a variable after construction: what a later module registered, say. */
  setEnv(name: string, value: EnvValue): void {
    this.env[name] = value;
  }

  /** @throws DefinitionError when there is no such port. */
  endpoint(portName: string): Endpoint {
    const port = this.ports[portName];
    if (port === undefined) {
      throw new DefinitionError(
        `workload '${this.name}'`,
        `has the ports ${Object.keys(this.ports).join(', ') || '(none)'}`,
        portName,
      );
    }
    return {
      host: `${this.name}.${this.namespace}.svc`,
      port,
      open: (from) => from.allowTo(this.networkPolicy, port),
    };
  }

  /** Of the main container and of those beside it. */
  private get ports(): Readonly<Record<string, number>> {
    return Object.assign(
      {},
      this.props.ports,
      ...(this.props.sidecars ?? []).map(({ ports }) => ports),
    ) as Record<string, number>;
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
    return podTemplate(this.props, {
      labels: this.selector,
      serviceAccount: this.serviceAccount,
      env: this.env,
      waits: this.connections.flatMap((connection) => connection.waitContainer ?? []),
    });
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
