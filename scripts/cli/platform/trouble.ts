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

interface Container {
  readonly ports?: readonly { containerPort: number; hostPort?: number }[];
}

interface Pod {
  readonly metadata: { name: string; namespace: string };
  readonly spec: {
    nodeName?: string;
    affinity?: {
      nodeAffinity?: {
        requiredDuringSchedulingIgnoredDuringExecution?: {
          nodeSelectorTerms: readonly { matchFields?: readonly { values: readonly string[] }[] }[];
        };
      };
    };
    containers: readonly Container[];
    initContainers?: readonly Container[];
  };
  readonly status: {
    phase: string;
    message?: string;
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
  // Where the kubelet itself refuses a pod, the pod has failed and says why.
  const refusal = unscheduled?.message ?? (pod.status.phase === 'Failed' ? pod.status.message : undefined);
  if (refusal?.includes(NO_FREE_PORT))
    return [`no node takes it: ${portTaken(pod, podsWithPortsOf(pod))}. Kubernetes says: ${refusal}`];
  if (unscheduled) return [`no node takes it: ${unscheduled.message}`];
  const containers = [...(pod.status.initContainerStatuses ?? []), ...(pod.status.containerStatuses ?? [])];
  return containers.flatMap(({ name, state, ready, restartCount }) => {
    const ended = state.waiting?.reason === 'CrashLoopBackOff' || (state.terminated?.exitCode ?? 0) !== 0;
    if (ended && listensInVain(pod, name)) return [`${name}: ${portTaken(pod, [])}`];
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

/** The scheduler's and the kubelet's words for a port of the node that another pod has. */
const NO_FREE_PORT = "didn't have free ports for the requested pod ports";

/** Only node-exporter asks for a port of the node. */
const OTHER_PORT =
  'NodeExporter.own({ port: … }) in Monitoring.own({ nodeExporter: … }) of the environment takes another port, and ' +
  'NodeExporter.none() does without it';

/** Which port of the node a pod does not get, who has it, and the way out. */
function portTaken(pod: Pod, holders: readonly Pod[]): string {
  const ports = nodePorts(pod);
  const names = holders.map(({ metadata: { namespace, name } }) => `${namespace}/${name}`);
  const who =
    names.length > 0
      ? `pod ${names.join(' and ')}`
      : `another program (on the node: sudo ss -ltnp 'sport = :${ports[0]}')`;
  return `port ${ports.join(' or ')} of node ${nodeOf(pod) ?? '?'} is taken by ${who}. ${OTHER_PORT}`;
}

/** Ports of the node that a pod asks for. On the node's network, the API server sets the host port of every port. */
function nodePorts({ spec }: Pod): number[] {
  return [...(spec.initContainers ?? []), ...spec.containers].flatMap(({ ports = [] }) =>
    ports.flatMap(({ hostPort }) => (hostPort ? [hostPort] : [])),
  );
}

/** The node of a pod. A DaemonSet's pod names it before a scheduler has assigned the pod. */
function nodeOf({ spec }: Pod): string | undefined {
  const terms =
    spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  return spec.nodeName ?? terms?.[0]?.matchFields?.[0]?.values[0];
}

/** Pods that have one of the ports on the same node. None where the user may not list the pods of all namespaces. */
function podsWithPortsOf(pod: Pod): Pod[] {
  const ports = nodePorts(pod);
  const { status, stdout } = tryKubectl('get', 'pods', '--all-namespaces', '--output=json');
  const pods = status === 0 ? (JSON.parse(stdout) as { items: Pod[] }).items : [];
  return pods.filter(
    (other) =>
      other.spec.nodeName !== undefined &&
      other.spec.nodeName === nodeOf(pod) &&
      !['Succeeded', 'Failed'].includes(other.status.phase) &&
      nodePorts(other).some((port) => ports.includes(port)),
  );
}

/** Whether a container ends because a program that is no pod, or a pod that hides its port, has a port of the node. */
function listensInVain(pod: Pod, container: string): boolean {
  const { name, namespace } = pod.metadata;
  if (nodePorts(pod).length === 0) return false;
  const { stdout } = tryKubectl(
    'logs',
    `--namespace=${namespace}`,
    name,
    `--container=${container}`,
    '--tail=20',
  );
  return stdout.includes('address already in use');
}

function lastLines(text: string, count: number): string[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.slice(-count).map((line) => `    ${line.slice(0, 300)}`);
}
