import { k8s } from 'cdk8s-plus-28';
import { Construct } from 'constructs';
import { NetworkPolicy } from './network-policy';
import { accountOf, resources } from './pod-defaults';
import type { Bytes, Cpu, Range } from '../definitions/quantity';
import { ServiceAccount } from './service-account';
import { NODES_NAMESPACE } from './namespaces';

export interface NodeAgentProps {
  readonly name: string;
  readonly image: string;
  readonly cpu: Range<Cpu>;
  readonly memory: Range<Bytes>;
  readonly args?: string[];
  readonly env?: k8s.EnvVar[];
  /** Port name to number. */
  readonly ports?: Readonly<Record<string, number>>;
  readonly volumes?: readonly {
    readonly volume: k8s.Volume;
    readonly mount: Omit<k8s.VolumeMount, 'name'>;
  }[];
  readonly securityContext: k8s.SecurityContext;
  /** Further fields of the pod's spec that give it access to its node. The caller says why each is needed. */
  readonly pod?: Partial<k8s.PodSpec>;
  readonly readinessProbe?: k8s.Probe;
}

/**
 * A DaemonSet whose pods read the node that they run on. It is in mlops-nodes, the only namespace where Pod Security
 * allows that.
 */
export class NodeAgent extends Construct {
  /** Policy of the pods. Undefined on the node's own network, where NetworkPolicies have no effect. */
  readonly networkPolicy?: NetworkPolicy;

  constructor(scope: Construct, id: string, props: NodeAgentProps) {
    super(scope, id);
    const labels = { 'app.kubernetes.io/name': props.name, 'app.kubernetes.io/component': 'agent' };
    const metadata = { name: props.name, namespace: NODES_NAMESPACE, labels };
    const serviceAccount = new ServiceAccount(this, 'service-account', { ...metadata, grants: [] });
    if (!props.pod?.hostNetwork)
      this.networkPolicy = new NetworkPolicy(this, 'network-policy', { ...metadata, pods: labels });
    new k8s.KubeDaemonSet(this, 'daemon-set', {
      metadata,
      spec: {
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            ...accountOf(serviceAccount),
            priorityClassName: 'system-node-critical',
            ...props.pod,
            containers: [
              {
                name: 'agent',
                image: props.image,
                args: props.args,
                env: props.env,
                ports: Object.entries(props.ports ?? {}).map(([name, containerPort]) => ({
                  name,
                  containerPort,
                  // On the node's network the API server fills in the same host port, so it is written out.
                  ...(props.pod?.hostNetwork ? { hostPort: containerPort } : {}),
                  protocol: 'TCP',
                })),
                readinessProbe: props.readinessProbe,
                resources: resources(props.cpu, props.memory),
                securityContext: props.securityContext,
                volumeMounts: (props.volumes ?? []).map(({ volume, mount }) => ({
                  name: volume.name,
                  ...mount,
                })),
              },
            ],
            volumes: (props.volumes ?? []).map(({ volume }) => volume),
          },
        },
      },
    });
  }
}
