import { definePipeline } from '../../../lib';
import { STEPS } from '../../../lib/definitions/names';
import { images } from '../../../lib/kubernetes/images';
import type { PipelineSpec } from '../../../lib/pipeline/spec';
import { TRIP } from '../../support/trip';
import { airflow, ended, firstRun, log, runs, type Task, tasks, trigger } from '../support/airflow';
import { specOf } from '../support/pipelines';
import { cluster, PLATFORM } from '../support/platform';
import { report, timed } from '../support/cluster';
import { until } from '../support/prometheus';

/** Pipelines whose steps do nothing but end, in the way that the pipeline's name says. They run beside each other. */
const NAME = 'stand-in';
const STOPS = 'stops';
const LATER = 'later';
const KEEPS = 'keeps';
const ALL = [NAME, STOPS, LATER, KEEPS];
const RUN = Object.values(STEPS.run);

/** The batch whose step `train` takes 30 seconds. */
const SLOW = '2020';

const STAND_IN = `
import sys, time
step, pipeline = sys.argv[2], sys.argv[4]
batch = sys.argv[sys.argv.index("--batch") + 1]
print("asked:", " ".join(sys.argv[1:]), flush=True)
time.sleep(30 if (step, batch) == ("train", "${SLOW}") else 2)
ends = {("collect", "${STOPS}"): 65, ("collect", "${LATER}"): 75, ("gate", "${KEEPS}"): 99}
sys.exit(ends.get((step, pipeline), 0))
`;

beforeAll(() => {
  for (const name of ALL) apply(configMap(name, JSON.stringify(spec(name))));
});
afterAll(() => ALL.forEach(remove));

test('a pipeline runs once by itself as soon as its ConfigMap is there, all steps in their order', () => {
  const { seconds, result: first } = timed(() => firstRun(NAME));
  report(`the first run began ${seconds} s after the ConfigMap`);
  expect(ended(NAME, first.dag_run_id).state).toBe('success');
  const ran = RUN.map((step) => tasks(NAME, first.dag_run_id)[step]!);
  expect(ran.map(({ state }) => state)).toEqual(RUN.map(() => 'success'));
  const starts = ran.map(({ start_date }) => Date.parse(start_date!));
  expect(starts).toEqual([...starts].sort((a, b) => a - b));
  const whole = (Date.parse(ran.at(-1)!.end_date!) - starts[0]!) / 1000;
  report(`${RUN.length} steps of 2 s took ${whole} s, beside three other pipelines`);
  report(`attempts: ${ran.map(({ try_number }) => try_number).join(' ')}`);
  const said = log(NAME, first.dag_run_id, 'collect');
  expect(said).toContain(
    `asked: lifecycle collect --pipeline ${NAME} --run ${first.dag_run_id} --batch  --at ${first.logical_date!.replace('Z', '+00:00')}`,
  );
  expect(runs(NAME).map(({ run_type }) => run_type)).toEqual(['scheduled']);
});

test('a step that ends with a permanent error is not repeated', () => {
  const { dag_run_id: id } = firstRun(STOPS);
  expect(ended(STOPS, id).state).toBe('failed');
  expect(tasks(STOPS, id).collect).toMatchObject({ state: 'failed', try_number: 1 });
  expect(log(STOPS, id, 'collect')).toContain('the step ended with 65');
});

test('a challenger that loses the gate ends the run in success, and nothing is deployed', () => {
  const { dag_run_id: id } = firstRun(KEEPS);
  expect(ended(KEEPS, id).state).toBe('success');
  expect(tasks(KEEPS, id)).toMatchObject({ gate: { state: 'skipped' }, deploy: { state: 'skipped' } });
});

test('a step that ends with a retryable error is tried again after a pause', () => {
  const { dag_run_id: id } = firstRun(LATER);
  const again = until(
    () => tasks(LATER, id).collect!,
    ({ state, try_number }) => state === 'up_for_retry' && try_number === 2,
    300,
  );
  expect(again).toMatchObject({ state: 'up_for_retry', try_number: 2 });
  // Airflow shows the log of the attempt that ended only a moment later.
  const said = until(
    () => log(LATER, id, 'collect'),
    (text) => text.includes("'exit_code': 75"),
    60,
  );
  expect(said).toContain("'exit_code': 75");
  remove(LATER);
});

test('a run by hand is refused for a batch that is no period', () => {
  const answer = airflow<{ detail?: string }>('POST', `dags/${NAME}/dagRuns`, {
    logical_date: null,
    conf: { batch: 'last month' },
  });
  expect(answer.detail).toContain('batch');
});

test('a backfill runs the dates of the past', () => {
  const { id } = airflow<{ id: number }>('POST', 'backfills', {
    dag_id: NAME,
    from_date: '2024-01-01T00:00:00Z',
    to_date: '2024-01-28T00:00:00Z',
    max_active_runs: 1,
  });
  expect(id).toBeGreaterThan(0);
  const made = () => runs(NAME).filter(({ run_type }) => run_type === 'backfill');
  const ends = until(
    made,
    (found) => found.length > 0 && found.every(({ state }) => state === 'success' || state === 'failed'),
    400,
  );
  expect(ends.map(({ logical_date, state }) => `${logical_date} ${state}`)).toEqual([
    '2024-01-01T06:00:00Z success',
  ]);
});

test('a step that runs while the scheduler dies neither fails nor is repeated', () => {
  const id = trigger(NAME, { batch: SLOW });
  until(
    () => tasks(NAME, id).train as Task | undefined,
    (train) => train?.state === 'deferred',
    180,
  );
  const pods = stepPods('train');
  const selector = '--selector=app.kubernetes.io/component=scheduler';
  cluster.kubectl('delete', 'pod', PLATFORM, selector, '--grace-period=0', '--force');
  expect(ended(NAME, id).state).toBe('success');
  expect(pods).toHaveLength(1);
  expect(tasks(NAME, id).train).toMatchObject({ state: 'success', try_number: 1 });
});

test('a spec that is no JSON is reported and stops no other pipeline, and the DAGs of a removed pipeline go', () => {
  apply(configMap('broken', '{'));
  const said = until(
    () => cluster.kubectl('logs', PLATFORM, 'deployment/airflow-dag-processor', '--container=pipeline-dags'),
    (lines) => lines.includes('pipeline-broken'),
    60,
  );
  expect(said).toContain('ConfigMap pipeline-broken: spec.json is no JSON');
  cluster.kubectl('delete', PLATFORM, 'configmap/pipeline-broken');
  const known = () =>
    airflow<{ dags: { dag_id: string }[] }>('GET', 'dags?limit=100').dags.map(({ dag_id }) => dag_id);
  expect(known()).toEqual(expect.arrayContaining([NAME, `${NAME}.watch`, `${NAME}.monitor`]));
  remove(NAME);
  const { seconds, result } = timed(() => until(known, (found) => !found.includes(NAME), 300));
  report(`gone after ${seconds} s`);
  expect(result.filter((dag) => dag.startsWith(NAME))).toEqual([]);
});

test('no pod of a step that has ended is left in the cluster', () => {
  expect(RUN.flatMap(stepPods)).toEqual([]);
});

/** The spec that synth writes of a small pipeline, with pods that run STAND_IN. */
function spec(name: string): PipelineSpec {
  const definition = definePipeline({
    ...TRIP,
    name,
    schedule: '0 6 1 * *',
    trainer: {
      timeout: '10m',
      cpu: { request: '20m' },
      memory: { request: '32Mi', limit: '64Mi' },
    },
    retraining: { every: '1m' },
  });
  const written = specOf({ definition, model: '' });
  return {
    ...written,
    steps: {
      resources: { requests: { cpu: '10m', memory: '32Mi' }, limits: { memory: '64Mi' } },
      pod: {
        ...written.steps.pod,
        spec: {
          serviceAccountName: 'step',
          restartPolicy: 'Never',
          securityContext: {
            runAsNonRoot: true,
            runAsUser: 65532,
            runAsGroup: 65532,
            seccompProfile: { type: 'RuntimeDefault' },
          },
          containers: [
            {
              name: 'base',
              image: images.python,
              command: ['python3', '-c', STAND_IN],
              securityContext: {
                allowPrivilegeEscalation: false,
                readOnlyRootFilesystem: true,
                capabilities: { drop: ['ALL'] },
              },
            },
          ],
        },
      },
    },
  };
}

function configMap(name: string, text: string) {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: `pipeline-${name}`,
      namespace: 'mlops-platform',
      labels: { 'mlops-lifecycle/pipeline': name },
    },
    data: { 'spec.json': text },
  };
}

function apply(object: object): void {
  const { status, output } = cluster.try(['apply', '--filename', '-'], JSON.stringify(object));
  if (status !== 0) throw new Error(output);
}

function remove(name: string): void {
  cluster.kubectl('delete', PLATFORM, '--ignore-not-found', `configmap/pipeline-${name}`);
}

/** Names of the pods of a step that are there, ended or not. */
function stepPods(step: string): string[] {
  return cluster
    .kubectl(
      'get',
      'pods',
      '--namespace=mlops-steps',
      `--selector=mlops-lifecycle/pipeline in (${ALL.join(',')}),mlops-lifecycle/step=${step}`,
      '--output=name',
    )
    .split('\n')
    .filter((line) => line !== '');
}
