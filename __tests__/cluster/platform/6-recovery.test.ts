import { report, timed } from '../support/cluster';
import { cluster, psql, python } from '../support/platform';
import { prometheus, until } from '../support/prometheus';

interface Pod {
  metadata: { name: string; namespace: string; uid: string };
  status: {
    conditions: { type: string; status: string }[];
    containerStatuses: { name: string; containerID: string; restartCount: number; ready: boolean }[];
  };
}

/** Each long-running program: its name as a label, the container to kill, and where its pod is. */
const PROGRAMS = [
  ['postgres', 'server'],
  ['minio', 'server'],
  ['mlflow', 'server'],
  ['airflow', 'api-server'],
  ['airflow', 'scheduler'],
  ['airflow', 'dag-processor'],
  ['airflow', 'triggerer'],
  ['triton', 'server'],
  ['prometheus', 'server'],
  ['alertmanager', 'server'],
  ['prometheus-operator', 'operator'],
  ['kube-state-metrics', 'exporter'],
  ['node-exporter', 'agent'],
  ['postgres', 'exporter'],
  ['mlops-platform', 'custom-resources'],
];

let runId: string;
let sampledAt: number;

beforeAll(() => {
  runId = python('deployment/mlflow', MAKE_RUN).trim().split('\n').at(-1)!;
  sampledAt = Date.now() / 1000;
});

test.each(PROGRAMS)('%s %s comes back Ready after kill -9', (system, component) => {
  const before = pod(system, component);
  const { seconds } = timed(() => {
    kill(before);
    const after = until(
      () => pod(system, component),
      (now) => isReady(now) && restarts(now) > restarts(before),
      600,
    );
    expect(restarts(after)).toBeGreaterThan(restarts(before));
    expect(isReady(after)).toBe(true);
  });
  report(`${system} ${component}: Ready again ${seconds} s after kill -9`);
});

test('nothing was lost: the run, its metric, its artifact, the databases, the samples from before', () => {
  const read = python('deployment/mlflow', READ_RUN.replace('RUN_ID', runId));
  expect(read).toContain('mae 1.5');
  expect(read).toContain('artifact hello');
  expect(psql('postgres', 'SELECT datname FROM pg_database')).toContain('airflow');
  const { result } = prometheus<{ result: unknown[] }>(
    `query?query=${encodeURIComponent('up{job="postgres"}')}&time=${sampledAt}`,
  );
  expect(result.length).toBeGreaterThan(0);
});

function pod(system: string, component: string): Pod {
  const selector = `--selector=app.kubernetes.io/name=${system},app.kubernetes.io/component=${component}`;
  const [found] = cluster.get<{ items: Pod[] }>('pods', '--all-namespaces', selector).items;
  return found!;
}

function isReady({ status }: Pod): boolean {
  return status.conditions.some(({ type, status: value }) => type === 'Ready' && value === 'True');
}

function restarts({ status }: Pod): number {
  return status.containerStatuses.reduce((sum, { restartCount }) => sum + restartCount, 0);
}

/** From the node: inside its own namespace nobody can kill process 1. */
function kill({ metadata, status }: Pod): void {
  const [main] = status.containerStatuses.filter(({ name }) => name !== 'config-reloader');
  const id = main!.containerID.replace('containerd://', '');
  const line = cluster
    .enter('ctr', '--namespace=k8s.io', 'tasks', 'list')
    .split('\n')
    .find((task) => task.startsWith(id));
  if (!line) throw new Error(`no process for the container of ${metadata.name}`);
  cluster.enter('kill', '-9', line.split(/\s+/)[1]!);
}

const CLIENT = `
import os, mlflow
os.environ["MLFLOW_TRACKING_USERNAME"] = os.environ["MLFLOW_AUTH_ADMIN_USERNAME"]
os.environ["MLFLOW_TRACKING_PASSWORD"] = os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"]
mlflow.set_tracking_uri("http://mlflow.mlops-platform.svc:5000")
`;

const MAKE_RUN = `${CLIENT}
mlflow.set_experiment("recovery")
with mlflow.start_run() as run:
    mlflow.log_metric("mae", 1.5)
    mlflow.log_text("hello", "note.txt")
print(run.info.run_id)
`;

const READ_RUN = `${CLIENT}
run = mlflow.get_run("RUN_ID")
print("mae", run.data.metrics["mae"])
print("artifact", mlflow.artifacts.load_text(run.info.artifact_uri + "/note.txt"))
`;
