import { Lazy } from 'cdk8s';
import { k8s } from 'cdk8s-plus-28';
import { Construct } from 'constructs';
import type { Connection, Endpoint, EnvValue } from './connection';
import { DefinitionError } from '../definitions/definition-error';
import { NetworkPolicy, type Protocol } from './network-policy';
import { podTemplate } from './pod-template';
import { ServiceAccount } from './service-account';
import { PLATFORM_NAMESPACE } from './namespaces';
import { contentHash } from './volume';
import type { WorkloadProps } from './workload-props';

/**
 * A program in the cluster: a Deployment, a StatefulSet or a Job, with its Service, ServiceAccount, NetworkPolicy and
 * connections.
 */
export class Workload extends Construct {
  readonly networkPolicy: NetworkPolicy;
  readonly name: string;
  readonly namespace: string;
  /** Labels that select the pods. A selector is immutable in the cluster, so that it must never change. */
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
   * Connects the workload to servers. Each connection adds its address and credentials to the environment, allows the
   * traffic in both NetworkPolicies, and adds an init container that waits for the server.
   * @throws DefinitionError where two connections bring the same variable.
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

  /** Sets an environment variable after construction, for a client that registers later. */
  setEnv(name: string, value: EnvValue): void {
    this.env[name] = value;
  }

  /** Address of a port, which is given by its name. @throws DefinitionError where there is no such port. */
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
      open: (from) => from.allowTo(this.networkPolicy, port, this.protocol(portName)),
    };
  }

  /** Ports of the main container and of the sidecars. */
  private get ports(): Readonly<Record<string, number>> {
    return Object.assign(
      {},
      this.props.ports,
      ...(this.props.sidecars ?? []).map(({ ports }) => ports),
    ) as Record<string, number>;
  }

  private protocol(portName: string): Protocol {
    return this.props.udpPorts?.includes(portName) ? 'UDP' : 'TCP';
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
        // Few, because old ReplicaSets only serve `kubectl rollout undo`; git has the history of `dist/`.
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
        // A week. Until then `kubectl apply` finds the finished Job; later it runs the Job again.
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
          protocol: this.protocol(name) === 'UDP' ? 'UDP' : undefined,
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

/** Written out in full: where the API server fills in fields, every `kubectl apply` reports a change. */
const STRATEGIES: Record<'RollingUpdate' | 'Recreate', k8s.DeploymentStrategy> = {
  Recreate: { type: 'Recreate' },
  RollingUpdate: {
    type: 'RollingUpdate',
    rollingUpdate: { maxSurge: k8s.IntOrString.fromNumber(1), maxUnavailable: k8s.IntOrString.fromNumber(0) },
  },
};
