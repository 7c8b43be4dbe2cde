import { OBJECT_STORE } from '../../support/object-store';
import { report, timed } from '../support/cluster';
import { psql, python } from '../support/platform';
import { isReady, kill, pod, restarts } from '../support/processes';
import { prometheus, until } from '../support/prometheus';

/** The long-running programs: the labels of the pod, and the container where its name is not the component's. */
const PROGRAMS: [system: string, component: string, container?: string][] = [
  ['postgres', 'server'],
  [OBJECT_STORE.name, 'server'],
  ['mlflow', 'server'],
  ['airflow', 'api-server'],
  ['airflow', 'scheduler'],
  ['airflow', 'dag-processor'],
  ['airflow', 'triggerer'],
  ['triton', 'server'],
  ['triton', 'server', 'model-sync'],
  ['prometheus', 'server', 'prometheus'],
  ['alertmanager', 'server', 'alertmanager'],
  ['prometheus-operator', 'operator'],
  ['kube-state-metrics', 'exporter'],
  ['node-exporter', 'agent'],
  ['postgres', 'exporter'],
];

let runId: string;
let sampledAt: number;

beforeAll(() => {
  runId = python('deployment/mlflow', MAKE_RUN).trim().split('\n').at(-1)!;
  sampledAt = Date.now() / 1000;
});

test.each(PROGRAMS)('%s %s comes back Ready after kill -9', (system, component, container = component) => {
  const before = pod(system, component);
  const { seconds } = timed(() => {
    kill(before, container);
    const after = until(
      () => pod(system, component),
      (now) => isReady(now) && restarts(now) > restarts(before),
      600,
    );
    expect(restarts(after)).toBeGreaterThan(restarts(before));
    expect(isReady(after)).toBe(true);
  });
  report(`${system} ${container}: Ready again ${seconds} s after kill -9`);
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
