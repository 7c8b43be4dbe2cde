import { OBJECT_STORE } from '../../support/object-store';
import { STEPS } from '../../../lib/definitions/names';
import { ended, tasks, trigger } from '../support/airflow';
import { report, timed } from '../support/cluster';
import { NAME, patient, removePipeline, startPipeline, versions } from '../support/ever-better';
import { cluster } from '../support/platform';
import { kill, pod } from '../support/processes';
import { until } from '../support/prometheus';

const STAGES = Object.values(STEPS.run);

/** The programs to kill: the labels of the pod, and the container. `step` is the pod of the stage itself. */
const PROGRAMS: [system: string, component: string, container: string][] = [
  ['postgres', 'server', 'server'],
  ['airflow', 'scheduler', 'scheduler'],
  ['step', 'pod', 'base'],
  ['mlflow', 'server', 'server'],
  [OBJECT_STORE.name, 'server', 'server'],
  ['triton', 'server', 'model-sync'],
  ['airflow', 'triggerer', 'triggerer'],
  ['airflow', 'api-server', 'api-server'],
  ['airflow', 'dag-processor', 'dag-processor'],
  ['triton', 'server', 'server'],
  ['prometheus', 'server', 'prometheus'],
];

/** In each run two programs are killed at each stage, at once; six runs kill each program at each stage. */
const RUNS = Array.from({ length: 6 }, (_, index) => index);

beforeAll(startPipeline);
afterAll(removePipeline);

test.each(RUNS)(
  'run %i ends in success, with exactly one version, though two programs are killed at each stage',
  (shift) => {
    const before = versions();
    const { seconds, result: tries } = timed(() => killedAtEachStage(shift));
    report(`run ${shift}: ${seconds} s; attempts: ${tries}`);
    expect(versions()).toBe(before + 1);
  },
);

/** Starts a run and kills two programs at each of its stages. @returns the number of attempts of each step, in words */
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
    // Both are looked up before the first is killed, so that they are killed at the same time.
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

/** The name of a stage's pod while its container runs; undefined before and after. */
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
