/** Namespace of everything but step pods and node agents. */
export const PLATFORM_NAMESPACE = 'mlops-platform';
/** Namespace of step pods alone, because whoever may create pods in a namespace can read every Secret in it. */
export const STEPS_NAMESPACE = 'mlops-steps';
/** Namespace of agents that must read the node itself. It contains no Secret. */
export const NODES_NAMESPACE = 'mlops-nodes';

/** What Pod Security enforces in each namespace of the platform. */
export const POD_SECURITY = {
  [PLATFORM_NAMESPACE]: 'restricted',
  [STEPS_NAMESPACE]: 'restricted',
  // node-exporter reads the node's own /proc and network, and GPU agents its devices.
  [NODES_NAMESPACE]: 'privileged',
} as const;

/** Every namespace of the platform. */
export const NAMESPACES = Object.keys(POD_SECURITY) as (keyof typeof POD_SECURITY)[];

/** Kinds that live in no namespace, whatever their chart's. */
export const CLUSTER_SCOPED: readonly string[] = ['ClusterRole', 'ClusterRoleBinding', 'Namespace'];
