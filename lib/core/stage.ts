import { Chart } from 'cdk8s';
import type { Construct } from 'constructs';

/** Where everything but step pods and node agents lives. */
export const PLATFORM_NAMESPACE = 'mlops-platform';
/** Step pods alone: whoever may create pods in a namespace can read every Secret in it. */
export const STEPS_NAMESPACE = 'mlops-steps';
/** Agents that must see the node itself; the one namespace where Pod Security is `privileged`. */
export const NODES_NAMESPACE = 'mlops-nodes';

/** All three. */
export const NAMESPACES = [NODES_NAMESPACE, PLATFORM_NAMESPACE, STEPS_NAMESPACE] as const;

/** Labels that say which platform an object belongs to. Never part of a selector. */
export const OWNERSHIP_LABELS = {
  'app.kubernetes.io/managed-by': 'mlops-lifecycle',
  'app.kubernetes.io/part-of': 'mlops-platform',
} as const;

/** On the platform's namespace: the name of the environment that the cluster runs. */
export const ENVIRONMENT_LABEL = 'mlops-lifecycle/environment';

export interface StageProps {
  /** Name of the file in `dist/`, without its ending. Its number is its place in `kubectl apply`. */
  readonly file: string;

  /**
   * Namespace of the stage's objects.
   * @default mlops-platform
   */
  readonly namespace?: string;
}

/** Kinds that live in no namespace, whatever their chart's. */
export const CLUSTER_SCOPED: readonly string[] = ['ClusterRole', 'ClusterRoleBinding', 'Namespace'];

/** One room of the platform: one chart, one file in `dist/`. */
export class Stage extends Chart {
  readonly file: string;

  constructor(scope: Construct, id: string, props: StageProps) {
    super(scope, id, {
      disableResourceNameHashes: true,
      labels: { ...OWNERSHIP_LABELS },
      namespace: props.namespace ?? PLATFORM_NAMESPACE,
    });
    this.file = props.file;
  }
}
