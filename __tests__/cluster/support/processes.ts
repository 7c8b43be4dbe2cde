import { cluster } from './platform';

export interface Pod {
  metadata: { name: string; namespace: string; uid: string };
  status: {
    conditions: { type: string; status: string }[];
    containerStatuses: { name: string; containerID: string; restartCount: number; ready: boolean }[];
  };
}

/** The pod of one component, by its labels. */
export function pod(system: string, component: string): Pod {
  const selector = `--selector=app.kubernetes.io/name=${system},app.kubernetes.io/component=${component}`;
  const [found] = cluster.get<{ items: Pod[] }>('pods', '--all-namespaces', selector).items;
  return found!;
}

export function isReady({ status }: Pod): boolean {
  return status.conditions.some(({ type, status: value }) => type === 'Ready' && value === 'True');
}

export function restarts({ status }: Pod): number {
  return status.containerStatuses.reduce((sum, { restartCount }) => sum + restartCount, 0);
}

/**
 * `kill -9` of a container's first process, from the node: inside its own namespace nobody can.
 * @throws when it does not run
 */
export function kill({ metadata, status }: Pod, container: string): void {
  const { containerID } = status.containerStatuses.find(({ name }) => name === container)!;
  const id = containerID.replace('containerd://', '');
  const line = cluster
    .enter('ctr', '--namespace=k8s.io', 'tasks', 'list')
    .split('\n')
    .find((task) => task.startsWith(id));
  if (!line) throw new Error(`no process for ${container} of ${metadata.name}`);
  cluster.enter('kill', '-9', line.split(/\s+/)[1]!);
}
