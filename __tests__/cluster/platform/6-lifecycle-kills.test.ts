import { runs, tasks, trigger } from '../support/airflow';
import { report } from '../support/cluster';
import { applyPipeline, NODE, taxi } from '../support/pipelines';
import { cluster, psql } from '../support/platform';
import { kill, pod } from '../support/processes';
import { until } from '../support/prometheus';

const MODEL = 'trip-duration';
const STAGES = ['collect', 'preprocess', 'train', 'register', 'gate', 'deploy'];

/** What is killed: its labels and its container; `step` is the pod of the stage itself. */
const PROGRAMS: [system: string, component: string, container: string][] = [
  ['postgres', 'server', 'server'],
  ['airflow', 'scheduler', 'scheduler'],
  ['step', 'pod', 'base'],
  ['mlflow', 'server', 'server'],
  ['minio', 'server', 'server'],
  ['triton', 'server', 'model-sync'],
  ['airflow', 'triggerer', 'triggerer'],
  ['airflow', 'api-server', 'api-server'],
  ['airflow', 'dag-processor', 'dag-processor'],
  ['triton', 'server', 'server'],
  ['prometheus', 'server', 'prometheus'],
];

/**
 * One run kills six programs, one a stage; as many runs as there are programs kill each
 * at each stage. All of them take an hour: KILL_RUNS=11 asks for it.
 */
const RUNS = Array.from({ length: Number(process.env.KILL_RUNS ?? 1) }, (_, index) => index);

beforeAll(() => {
  const url = `http://${NODE}/green_tripdata_{{ month }}.parquet`;
  const source = { type: 'http', url, monthsUntilPublished: 2, until: '2022-01' } as const;
  // What is tried here is not whether the model is better: a margin below nothing lets every one pass.
  applyPipeline(taxi({ source, gate: { metric: 'mae', better: 'lower', margin: 0 } }));
  until(
    () => runs(MODEL).filter(({ state }) => state === 'running' || state === 'queued'),
    (under) => under.length === 0,
    600,
  );
});

test.each(RUNS)(
  'run %i ends in success, with exactly one version, though a program is killed at each stage',
  (shift) => {
    const before = versions();
    const id = trigger(MODEL, { batch: shift % 2 === 0 ? '2022-01' : '2024-01' });
    for (const [index, stage] of STAGES.entries()) {
      const [system, component, container] = PROGRAMS[(index + shift) % PROGRAMS.length]!;
      until(
        () => stepPod(stage),
        (name) => name !== undefined || isOver(id),
        900,
      );
      if (isOver(id)) break;
      if (system === 'step') killStep(stage);
      else kill(pod(system, component), container);
      report(`${stage}: killed ${system} ${container}`);
      until(
        () => patient(() => tasks(MODEL, id)[stage]!.state),
        (state) => state === 'success' || state === 'skipped' || isOver(id),
        1200,
      );
    }
    const state = until(
      () => stateOf(id),
      (now) => now === 'success' || now === 'failed',
      1800,
    );
    const tries = Object.values(patient(() => tasks(MODEL, id))).map(
      (task) => `${task.task_id} ${task.try_number}`,
    );
    report(`${state}; tries: ${tries.join(', ')}`);
    expect(state).toBe('success');
    expect(versions()).toBe(before + 1);
  },
);

function stateOf(id: string): string {
  return patient(() => runs(MODEL)).find(({ dag_run_id }) => dag_run_id === id)!.state;
}

function isOver(id: string): boolean {
  return ['success', 'failed'].includes(stateOf(id));
}

/** Asks again while what answers has just been killed. */
function patient<T>(look: () => T): T {
  const answer = until(
    () => {
      try {
        return { found: look() };
      } catch (error) {
        return { error };
      }
    },
    (seen) => 'found' in seen,
    300,
  );
  if ('found' in answer) return answer.found as T;
  throw answer.error;
}

/** In the registry's own table: MLflow may just have been killed. */
function versions(): number {
  return patient(() => Number(psql('mlflow', `SELECT count(*) FROM model_versions WHERE name = '${MODEL}'`)));
}

/** The pod of a stage whose container runs. */
function stepPod(stage: string): string | undefined {
  const selector = `--selector=mlops-lifecycle/pipeline=${MODEL},mlops-lifecycle/step=${stage}`;
  const { items } = cluster.get<{
    items: { metadata: { name: string }; status: { phase: string } }[];
  }>('pods', '--namespace=mlops-steps', selector);
  return items.find(({ status }) => status.phase === 'Running')?.metadata.name;
}

function killStep(stage: string): void {
  const name = stepPod(stage);
  if (name) cluster.kubectl('delete', 'pod', name, '--namespace=mlops-steps', '--grace-period=0', '--force');
}
