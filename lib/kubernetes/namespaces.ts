/** Where everything but step pods and node agents lives. */
export const PLATFORM_NAMESPACE = 'mlops-platform';
/** Step pods alone: whoever may create pods in a namespace can read every Secret in it. */
export const STEPS_NAMESPACE = 'mlops-steps';
/** Agents that must see the node itself; the one namespace where Pod Security is `privileged`. */
export const NODES_NAMESPACE = 'mlops-nodes';

/** All three. */
export const NAMESPACES = [NODES_NAMESPACE, PLATFORM_NAMESPACE, STEPS_NAMESPACE] as const;

/** Kinds that live in no namespace, whatever their chart's. */
export const CLUSTER_SCOPED: readonly string[] = ['ClusterRole', 'ClusterRoleBinding', 'Namespace'];
