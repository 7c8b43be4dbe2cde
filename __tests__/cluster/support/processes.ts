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

/** Whether a pod is Ready. */
export function isReady({ status }: Pod): boolean {
  return status.conditions.some(({ type, status: value }) => type === 'Ready' && value === 'True');
}

/** How many times the containers of a pod were restarted, all together. */
export function restarts({ status }: Pod): number {
  return status.containerStatuses.reduce((sum, { restartCount }) => sum + restartCount, 0);
}

/**
 * Sends SIGKILL to a container's first process, from the node: the kernel ignores it from within the container.
 * @throws Error when the container does not run
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
