import { list, tryKubectl } from './kubectl';
import type { Workload } from './workloads';

interface ContainerStatus {
  readonly name: string;
  readonly ready: boolean;
  readonly restartCount: number;
  readonly state: {
    waiting?: { reason?: string; message?: string };
    terminated?: { reason?: string; exitCode: number };
    running?: object;
  };
}

interface Pod {
  readonly metadata: { name: string };
  readonly status: {
    phase: string;
    conditions?: { type: string; status: string; message?: string }[];
    initContainerStatuses?: ContainerStatus[];
    containerStatuses?: ContainerStatus[];
  };
}

/** Why a workload is not ready, in a few words. */
export function reason(workload: Workload): string {
  const pods = podsOf(workload);
  if (pods.length === 0) return 'has no pod yet';
  return (
    pods.flatMap(podReason)[0] ??
    (workload.title.startsWith('job/') ? 'still runs' : 'its probes do not answer yet')
  );
}

/** Why a workload is not ready, at length: each pod, its warnings, and the last lines of its logs. */
export function report(workload: Workload): string {
  const namespace = `--namespace=${workload.namespace}`;
  return podsOf(workload)
    .flatMap((pod) => {
      const { name } = pod.metadata;
      const events = tryKubectl('events', namespace, `--for=pod/${name}`, '--types=Warning').stdout;
      const logs = tryKubectl('logs', namespace, name, '--all-containers', '--prefix', '--tail=15');
      return [
        `--- pod ${workload.namespace}/${name}: ${podReason(pod)[0] ?? pod.status.phase}`,
        ...lastLines(events, 6),
        ...lastLines(logs.stdout + logs.stderr, 20),
      ];
    })
    .join('\n');
}

function podsOf(workload: Workload): Pod[] {
  const namespace = `--namespace=${workload.namespace}`;
  const selector = workload.selector || `batch.kubernetes.io/job-name=${workload.name}`;
  return list<Pod>('pods', namespace, `--selector=${selector}`);
}

function podReason(pod: Pod): string[] {
  const unscheduled = pod.status.conditions?.find(
    ({ type, status }) => type === 'PodScheduled' && status === 'False',
  );
  if (unscheduled) return [`no node takes it: ${unscheduled.message}`];
  const containers = [...(pod.status.initContainerStatuses ?? []), ...(pod.status.containerStatuses ?? [])];
  return containers.flatMap(({ name, state, ready, restartCount }) => {
    if (state.waiting && state.waiting.reason !== 'PodInitializing') {
      return [`${name}: ${state.waiting.reason}${restartCount > 0 ? ` after ${restartCount} restarts` : ''}`];
    }
    if (state.terminated && state.terminated.exitCode !== 0)
      return [`${name}: ended with ${state.terminated.exitCode}`];
    if (state.running && !ready)
      return [name.startsWith('wait-for-') ? name.replaceAll('-', ' ') : `${name}: not ready yet`];
    return [];
  });
}

function lastLines(text: string, count: number): string[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.slice(-count).map((line) => `    ${line.slice(0, 300)}`);
}
