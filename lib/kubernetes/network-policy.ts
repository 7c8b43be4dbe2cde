import { Lazy } from 'cdk8s';
import { k8s } from 'cdk8s-plus-28';
import { Construct } from 'constructs';
import { listOrAbsent } from './list';

export interface NetworkPolicyProps {
  readonly name: string;
  readonly namespace: string;
  /** Labels of the pods that the policy selects; `{}` selects every pod of the namespace. */
  readonly pods: Record<string, string>;
}

export type Protocol = 'TCP' | 'UDP';

interface Edge {
  /** Allowed ports; every TCP port where it is empty. */
  readonly ports: Map<string, { readonly port: number; readonly protocol: Protocol }>;
  readonly peer?: k8s.NetworkPolicyPeer;
}

/**
 * What a set of pods may reach, and who may reach them. Every namespace denies all traffic by default, so that only
 * connections that are allowed here work, and DNS.
 */
export class NetworkPolicy extends Construct {
  readonly policy: k8s.KubeNetworkPolicy;
  private readonly ingress = new Map<string, Edge>();
  private readonly egress = new Map<string, Edge>();

  constructor(
    scope: Construct,
    id: string,
    private readonly props: NetworkPolicyProps,
  ) {
    super(scope, id);
    this.policy = new k8s.KubeNetworkPolicy(this, 'policy', {
      metadata: { name: props.name, namespace: props.namespace },
      spec: {
        podSelector: this.podSelector(),
        policyTypes: ['Egress', 'Ingress'],
        ingress: Lazy.any({ produce: () => listOrAbsent(render(this.ingress, 'from')) }),
        egress: Lazy.any({ produce: () => [DNS, ...render(this.egress, 'to')] }),
      },
    });
  }

  /** Allows connections to one port of `target`'s pods, in both policies. */
  allowTo(target: NetworkPolicy, port: number, protocol: Protocol = 'TCP'): void {
    open(this.egress, target.node.path, port, target.asPeer(), protocol);
    open(target.ingress, this.node.path, port, this.asPeer(), protocol);
  }

  /** Allows connections to one port of every pod in a namespace of somebody else. It is the pods' port, not the Service's. */
  allowToNamespace(namespace: string, port: number): void {
    open(this.egress, `~${namespace}`, port, peerIn(namespace));
  }

  /**
   * Allows connections to one port of any address. A NetworkPolicy cannot contain a host name, so that a server which
   * is known by its DNS name alone cannot be allowed more narrowly.
   */
  allowToOutside(port: number): void {
    open(this.egress, '~outside', port, { ipBlock: { cidr: '0.0.0.0/0' } });
  }

  /** Allows connections to any TCP port of the pods in namespaces with this label, set to `true`, but for `except`. */
  allowToNamespacesLabelled(label: string, except: readonly string[]): void {
    open(this.egress, `~${label}`, undefined, {
      namespaceSelector: {
        matchLabels: { [label]: 'true' },
        matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: [...except] }],
      },
    });
  }

  /** Allows connections to the Kubernetes API by its usual ports: its address is a node's, not known at synth. */
  allowToKubernetesApi(): void {
    this.allowToOutside(443);
    this.allowToOutside(6443);
  }

  /**
   * The pods of a namespace with these labels may reach this port: an ingress controller, say.
   * Without labels, every pod of it.
   */
  allowFromNamespace(namespace: string, port: number, pods: Readonly<Record<string, string>> = {}): void {
    const key = Object.keys(pods).length > 0 ? `~${namespace} ${JSON.stringify(pods)}` : `~${namespace}`;
    open(this.ingress, key, port, peerIn(namespace, pods));
  }

  /** Every pod of the namespaces with this label, set to `true`, may reach this port. */
  allowFromNamespacesLabelled(label: string, port: number): void {
    open(this.ingress, `~${label}`, port, { namespaceSelector: { matchLabels: { [label]: 'true' } } });
  }

  /** Any address may reach this port: the API server calling a webhook, a node calling a pod. */
  allowFromAnywhere(port: number): void {
    open(this.ingress, '~anywhere', port);
  }

  private asPeer(): k8s.NetworkPolicyPeer {
    return { ...peerIn(this.props.namespace), podSelector: this.podSelector() };
  }

  private podSelector(): k8s.LabelSelector {
    // No empty matchLabels: the API server drops it, and every `kubectl apply` would report a change.
    return Object.keys(this.props.pods).length > 0 ? { matchLabels: this.props.pods } : {};
  }
}

function peerIn(namespace: string, pods: Readonly<Record<string, string>> = {}): k8s.NetworkPolicyPeer {
  return {
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
    podSelector: Object.keys(pods).length > 0 ? { matchLabels: pods } : undefined,
  };
}

/** CoreDNS as k3s, kubeadm and the large clouds label it. */
const DNS = {
  to: [
    {
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } },
      podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } },
    },
  ],
  ports: [
    { port: k8s.IntOrString.fromNumber(53), protocol: 'TCP' },
    { port: k8s.IntOrString.fromNumber(53), protocol: 'UDP' },
  ],
};

function open(
  edges: Map<string, Edge>,
  key: string,
  port?: number,
  peer?: k8s.NetworkPolicyPeer,
  protocol: Protocol = 'TCP',
): void {
  const edge = edges.get(key) ?? { ports: new Map(), peer };
  if (port !== undefined) edge.ports.set(`${port}/${protocol}`, { port, protocol });
  edges.set(key, edge);
}

function render(edges: Map<string, Edge>, side: 'to' | 'from') {
  return [...edges.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, edge]) => ({
      ...(edge.peer ? { [side]: [edge.peer] } : {}),
      // The protocol is written out, because the API server fills it in and would then differ from the file.
      ports:
        edge.ports.size === 0
          ? [{ protocol: 'TCP' }]
          : [...edge.ports.values()]
              .sort((a, b) => a.port - b.port)
              .map(({ port, protocol }) => ({ port: k8s.IntOrString.fromNumber(port), protocol })),
    }));
}
