import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { definePipeline } from '../../../lib';
import { ended, runs, tasks, trigger, waitForDag } from '../support/airflow';
import { report, timed } from '../support/cluster';
import { applyPipeline } from '../support/pipelines';
import { cluster, PLATFORM, psql } from '../support/platform';
import { kill, pod } from '../support/processes';
import { until } from '../support/prometheus';

const NAME = 'ever-better';
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
 * In each run two programs are killed at each stage, at once; six runs kill each program
 * at each stage: KILL_RUNS=6 asks for the whole matrix.
 */
const RUNS = Array.from({ length: Number(process.env.KILL_RUNS ?? 1) }, (_, index) => index);

beforeAll(() => {
  applyPipeline(everBetter());
  waitForDag(NAME);
  const [first] = until(
    () => runs(NAME),
    (found) => found.length > 0,
    300,
  );
  expect(ended(NAME, first!.dag_run_id, 900).state).toBe('success');
});

afterAll(() => {
  for (const namespace of [PLATFORM, '--namespace=mlops-steps'])
    cluster.try(['delete', namespace, '--selector', `mlops-lifecycle/pipeline=${NAME}`, 'configmap']);
});

test.each(RUNS)(
  'run %i ends in success, with exactly one version, though two programs are killed at each stage',
  (shift) => {
    const before = versions();
    const { seconds, result: tries } = timed(() => killedAtEachStage(shift));
    report(`run ${shift}: ${seconds} s; attempts: ${tries}`);
    expect(versions()).toBe(before + 1);
  },
);

/** @returns the attempts of each step */
function killedAtEachStage(shift: number): string {
  const id = trigger(NAME, { batch: `2024-01-${String(shift + 1).padStart(2, '0')}` });
  for (const [index, stage] of STAGES.entries()) {
    const running = until(
      () => stepPod(stage),
      (name) => name !== undefined,
      900,
    );
    if (running === undefined) throw new Error(`no pod of ${stage} was seen`);
    const killed = [index + shift, index + shift + STAGES.length].map((i) => PROGRAMS[i % PROGRAMS.length]!);
    // Found before the first is killed, and killed at once: the API server of the node stays.
    const kills = killed.map(([system, component, container]) => {
      if (system === 'step') return () => forceDelete(running);
      const found = pod(system, component);
      return () => kill(found, container);
    });
    kills.forEach((now) => now());
    report(
      `${stage}: killed ${killed.map(([system, , container]) => `${system} ${container}`).join(' and ')}`,
    );
    const state = until(
      () => patient(() => tasks(NAME, id)[stage]!.state),
      (now) => now === 'success' || now === 'failed' || now === 'skipped',
      1200,
    );
    expect({ stage, state }).toEqual({ stage, state: 'success' });
  }
  expect(patient(() => ended(NAME, id)).state).toBe('success');
  const taken = patient(() => tasks(NAME, id));
  return STAGES.map((stage) => `${stage} ${taken[stage]!.try_number}`).join(', ');
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
  return patient(() => Number(psql('mlflow', `SELECT count(*) FROM model_versions WHERE name = '${NAME}'`)));
}

/** The pod of a stage, while its container runs. */
function stepPod(stage: string): string | undefined {
  const selector = `--selector=mlops-lifecycle/pipeline=${NAME},mlops-lifecycle/step=${stage}`;
  const { items } = cluster.get<{
    items: { metadata: { name: string }; status: { phase: string } }[];
  }>('pods', '--namespace=mlops-steps', selector);
  return items.find(({ status }) => status.phase === 'Running')?.metadata.name;
}

function forceDelete(name: string): void {
  cluster.kubectl('delete', 'pod', name, '--namespace=mlops-steps', '--grace-period=0', '--force');
}

function everBetter() {
  const model = readFileSync(join(__dirname, '../support', NAME, 'model.py'), 'utf8');
  const perfectAt = Math.round(Date.now() / 1000) + 5 * 3600;
  return {
    model: model.replace('float("inf")', `${perfectAt}.0`),
    definition: definePipeline({
      name: NAME,
      owner: 'Tests <tests@example.com>',
      source: { type: 'python', period: 'date' },
      schedule: '@daily',
      schema: {
        columns: {
          time: { type: 'datetime' },
          size: { type: 'float', min: 0, max: 1 },
          weight: { type: 'float', min: 0, max: 3 },
        },
        timestamp: 'time',
        features: { size: { type: 'float', min: 0, max: 1 } },
        target: { name: 'weight', type: 'float', min: 0, max: 3 },
      },
      gate: { metric: 'mae', better: 'lower', margin: 0 },
    }),
  };
}
