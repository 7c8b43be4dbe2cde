import type { Manifest } from '../../../lib/validation/manifests';
import { list } from './kubectl';

/** A controller of pods, and whether all of its pods are ready and up to date. */
export interface Workload {
  /** `deployment/mlflow`. */
  readonly title: string;
  readonly namespace: string;
  readonly name: string;
  readonly ready: boolean;
  /** `1/1`, or `completed`. */
  readonly state: string;
  /** Labels of its pods, as a selector. */
  readonly selector: string;
}

interface Controller {
  readonly kind: string;
  readonly metadata: { name: string; namespace: string; generation: number };
  readonly spec: {
    replicas?: number;
    selector?: { matchLabels: Record<string, string> };
  };
  readonly status: {
    observedGeneration?: number;
    readyReplicas?: number;
    updatedReplicas?: number;
    numberReady?: number;
    desiredNumberScheduled?: number;
    updatedNumberScheduled?: number;
    succeeded?: number;
  };
}

const KINDS = 'daemonsets.apps,deployments.apps,jobs.batch,statefulsets.apps';

/** Every workload of these namespaces as the cluster has it now. */
export function workloads(namespaces: readonly string[]): Workload[] {
  return namespaces.flatMap((namespace) => list<Controller>(KINDS, `--namespace=${namespace}`).map(describe));
}

/** Titles of an environment's workloads, with the StatefulSets that the Prometheus operator makes. */
export function wantedWorkloads(objects: readonly Manifest[]): string[] {
  return objects.flatMap(({ kind, metadata: { name } }) => {
    switch (kind) {
      case 'DaemonSet':
      case 'Deployment':
      case 'Job':
      case 'StatefulSet':
        return [`${kind.toLowerCase()}/${name}`];
      // The Prometheus operator names a StatefulSet after the kind and the name of the resource.
      case 'Alertmanager':
      case 'Prometheus':
        return [`statefulset/${kind.toLowerCase()}-${name}`];
      default:
        return [];
    }
  });
}

function describe(controller: Controller): Workload {
  const { kind, metadata, spec, status } = controller;
  const common = {
    title: `${kind.toLowerCase()}/${metadata.name}`,
    namespace: metadata.namespace,
    name: metadata.name,
    selector: Object.entries(spec.selector?.matchLabels ?? {})
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
  };
  if (kind === 'Job') {
    const done = (status.succeeded ?? 0) > 0;
    return { ...common, ready: done, state: done ? 'completed' : 'running' };
  }
  const [ready = 0, updated = 0, wanted = 1] =
    kind === 'DaemonSet'
      ? [status.numberReady, status.updatedNumberScheduled, status.desiredNumberScheduled]
      : [status.readyReplicas, status.updatedReplicas, spec.replicas];
  const seen = (status.observedGeneration ?? 0) >= metadata.generation;
  return { ...common, ready: seen && ready >= wanted && updated >= wanted, state: `${ready}/${wanted}` };
}
