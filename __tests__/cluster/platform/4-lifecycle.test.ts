import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { STEPS } from '../../../lib/definitions/names';
import { ended, log, type Run, runs, type Task, tasks, trigger } from '../support/airflow';
import { report, timed } from '../support/cluster';
import { applyPipeline, published, taxi } from '../support/pipelines';
import { cluster, npm, PLATFORM } from '../support/platform';
import { ask as askOf, type Lineage } from '../support/programs';
import { query, until } from '../support/prometheus';
import { said, stepStopped } from '../support/step';
import { startTraffic as startTrafficOf, STEADY } from '../support/traffic';

const ROOT = join(__dirname, '../../..');
const MODEL = 'trip-duration';
const RUN = Object.values(STEPS.run);

/** With so many sampled rows, PSI of rows like those of training lies far below the alert's threshold. */
const ENOUGH_TO_COMPARE = 4000;

const GRAFANA_DOWN = '  GrafanaDown (warning)  docs/runbooks/GrafanaDown.md\n';

const BROKEN = [
  'changed bytes',
  'truncated',
  'missing file',
  'missing manifest',
  'no model',
  'wrong shape',
  'wrong answers',
];

interface Traffic {
  readonly requests: number;
  readonly failed: number;
  readonly wrong: number;
  readonly versions: Record<string, number>;
  readonly slowestMs: number;
}

let first: Run;

describe('the first model', () => {
  test('serves after one deploy, without a further command', () => {
    [first] = until(
      () => runs(MODEL),
      ([run]) => run !== undefined,
      300,
    ) as [Run];
    expect(ended(MODEL, first.dag_run_id, 900).state).toBe('success');
    const taken = tasks(MODEL, first.dag_run_id);
    const answered = Date.parse(taken.deploy!.end_date!) - Number(process.env.APPLIED_AT);
    report(`from kubectl apply to the first model: ${Math.round(answered / 1000)} s; ${times(taken)}`);
  });

  test('answers as the trained model does', () => {
    const golden = ask<{ version: number; served: string; rows: number; difference: number }>(
      'golden',
      MODEL,
    );
    report(`${golden.rows} answers differ from the trained model's by ${golden.difference} at most`);
    expect(golden.served).toBe(String(golden.version));
    expect(golden.difference).toBeLessThan(1e-4);
  });

  test('is traced back to the bytes of the file it was trained on', () => {
    const lineage = ask<Lineage>('lineage', MODEL);
    const file = readFileSync(join(ROOT, '__tests__/data/green_tripdata_2022-01.parquet'));
    expect(lineage.sourceSha256).toBe(createHash('sha256').update(file).digest('hex'));
    expect(lineage.tags).toMatchObject({ 'lifecycle.batch': '2022-01' });
    expect(lineage.aliases).toEqual({ champion: lineage.version });
    report(
      `version ${lineage.version}: ${lineage.rows} rows, ${lineage.quarantined.total} in quarantine, MAE ${lineage.metrics.mae}`,
    );
  });

  test("is named by the page of its MLflow run in each step's log, from train on", () => {
    const pages = RUN.slice(RUN.indexOf(STEPS.run.train)).map(
      (step) => log(MODEL, first.dag_run_id, step).match(/#\/experiments\/\d+\/runs\/[0-9a-f]{32}/)?.[0],
    );
    expect(pages).toEqual(pages.map(() => pages[0]));
    expect(pages[0]).toBeDefined();
  });
});

describe('when the data drifts', () => {
  let before: number;
  let retraining: Run;

  test('trips like those of training raise no alert', () => {
    startTraffic('quiet', '2022-01', STEADY);
    const rows = until(sampledRows, (found) => found >= ENOUGH_TO_COMPARE, 600);
    before = psi('pickup_zone')!;
    const traffic = said<Traffic>(stepStopped('quiet'));
    expect(traffic.failed).toBe(0);
    expect(rows).toBeGreaterThanOrEqual(ENOUGH_TO_COMPARE);
    report(`${traffic.requests} requests; PSI of pickup_zone ${before}; all: ${JSON.stringify(allPsi())}`);
    expect(before).toBeLessThan(0.05);
    expect(firing()).toEqual([]);
  });

  test('trips of two years later raise the alert, and exactly one retraining', () => {
    applyPipeline(taxi({ source: published('2024-01') }));
    startTraffic('moved', '2024-01', STEADY);
    const began = Date.now();
    until(firing, (alerts) => alerts.length > 0, 400);
    const during = allPsi();
    report(`drifted after ${seconds(began)} s: ${firing().join(', ')}; PSI ${JSON.stringify(during)}`);
    const events = until(
      () => runs(MODEL).filter(({ run_type }) => run_type === 'asset_triggered'),
      (found) => found.length > 0,
      300,
    );
    expect(events).toHaveLength(1);
    retraining = ended(MODEL, events[0]!.dag_run_id, 900);
    expect(retraining.state).toBe('success');
    const taken = tasks(MODEL, retraining.dag_run_id);
    const training = Date.parse(taken.train!.end_date!) - Date.parse(taken.train!.start_date!);
    const whole = Date.parse(taken.deploy!.end_date!) - began;
    report(
      `from the first drifted request to the new model: ${Math.round(whole / 1000)} s, ` +
        `less its training ${Math.round((whole - training) / 1000)} s; ${times(taken)}`,
    );
    report(
      log(MODEL, retraining.dag_run_id, 'gate').match(/[^"]*champion[^"]*/)?.[0] ?? 'no line of the gate',
    );
  });

  test('the new version serves, and was trained on the newest month', () => {
    const lineage = ask<Lineage>('lineage', MODEL);
    expect(lineage.tags).toMatchObject({ 'lifecycle.batch': '2024-01', 'lifecycle.parent_version': '1' });
    expect(lineage.aliases).toEqual({ champion: 2, previous: 1 });
    expect(ask<{ served: string }>('golden', MODEL).served).toBe('2');
    expect(npm('status').stdout).toContain(`  ${MODEL}: version 2 serves\n`);
  });

  test('PSI falls, and no further retraining starts', () => {
    const after = until(
      () => psi('pickup_zone'),
      (now) => now !== undefined && now < 0.05,
      300,
    );
    const traffic = said<Traffic>(stepStopped('moved'));
    report(
      `PSI of pickup_zone: before ${before}, after ${after}; ${traffic.requests} requests, ${traffic.failed} failed`,
    );
    expect(after).toBeLessThan(0.05);
    expect(traffic.failed).toBe(0);
    expect(firing()).toEqual([]);
    expect(runs(MODEL).filter(({ run_type }) => run_type === 'asset_triggered')).toHaveLength(1);
  });
});

describe('a version that is no better', () => {
  test('loses the gate, and the champion stays', () => {
    const id = trigger(MODEL, { batch: '2024-01' });
    expect(ended(MODEL, id, 900).state).toBe('success');
    const taken = tasks(MODEL, id);
    expect({ gate: taken.gate!.state, deploy: taken.deploy!.state }).toEqual({
      gate: 'skipped',
      deploy: 'skipped',
    });
    expect(ask<Lineage>('lineage', MODEL).aliases).toEqual({ champion: 2, previous: 1 });
  });
});

describe('under traffic', () => {
  let serving: number;
  let before: number;

  beforeAll(() => {
    const { aliases } = ask<Lineage>('lineage', MODEL);
    [serving, before] = [aliases.champion!, aliases.previous!];
  });

  test('Triton runs on jemalloc, without which it breaks over traced requests', () => {
    const grep = ['grep', '--count', 'jemalloc', '/proc/1/maps'];
    const mapped = cluster.kubectl(
      'exec',
      PLATFORM,
      'deployment/triton',
      '--container=server',
      '--',
      ...grep,
    );
    expect(Number(mapped)).toBeGreaterThan(0);
  });

  test('twenty rollouts under fifty clients give no wrong answer and lose no request', () => {
    startTraffic('rollouts', '2024-01', { clients: 50 });
    const order = Array.from({ length: 20 }, (_, i) => String(i % 2 === 0 ? before : serving));
    const switched = ask<{ rollouts: number; slowestSeconds: number }>('switch', MODEL, ...order);
    const traffic = said<Traffic>(stepStopped('rollouts'));
    report(
      `${switched.rollouts} rollouts, the slowest ${switched.slowestSeconds} s; ${JSON.stringify(traffic)}`,
    );
    expect(traffic).toMatchObject({ failed: 0, wrong: 0 });
    expect(Object.keys(traffic.versions).sort()).toEqual([before, serving].map(String).sort());
  });

  test('a version that is bad in any way is refused, and no client sees a failed or a wrong answer', () => {
    startTraffic('bad-versions', '2024-01', { clients: 4 });
    for (const [index, kind] of BROKEN.entries()) {
      const refused = ask<{ serving: number[]; reason: string }>('corrupt', MODEL, kind, String(901 + index));
      report(`${kind}: '${refused.reason}'`);
      expect({ kind, serving: refused.serving }).toEqual({ kind, serving: [serving] });
    }
    const traffic = said<Traffic>(stepStopped('bad-versions'));
    report(`meanwhile ${JSON.stringify(traffic)}`);
    expect(traffic).toMatchObject({ failed: 0, wrong: 0 });
    expect(Object.keys(traffic.versions)).toEqual([String(serving)]);
  });

  test('npm run rollback puts back the version before, and a second one the newer version', () => {
    startTraffic('rollback', '2024-01', { clients: 4 });
    for (const version of [before, serving]) {
      const { seconds: taken, result } = timed(() => npm('rollback', MODEL));
      report(`rollback in ${taken} s: ${result.stdout.trim().split('\n').at(-1)}`);
      expect(result.stderr).toBe('');
      expect(result.status).toBe(0);
      expect(ask<{ served: string }>('golden', MODEL).served).toBe(String(version));
      expect(ask<Lineage>('lineage', MODEL).aliases.champion).toBe(version);
    }
    const traffic = said<Traffic>(stepStopped('rollback'));
    report(`meanwhile ${JSON.stringify(traffic)}`);
    expect(traffic).toMatchObject({ failed: 0, wrong: 0 });
  });
});

test('npm run status says which alerts fire', () => {
  // The tests' cluster has no image of Grafana, so that its alert fires some time after the deploy.
  const page = until(
    () => npm('status').stdout,
    (text) => text.includes(GRAFANA_DOWN),
    900,
  );
  expect(page).toContain(GRAFANA_DOWN);
});

/** Runs one of the small programs as a step and returns what it says. */
function ask<T>(program: string, ...args: string[]): T {
  return askOf<T>(MODEL, program, ...args);
}

/** Starts clients that ask until `stepStopped`, and returns once they ask. */
function startTraffic(
  name: string,
  month: string,
  { clients, rows }: { clients: number; rows?: number },
): void {
  const { champion, previous } = ask<Lineage>('lineage', MODEL).aliases;
  const models = [champion, previous].flatMap((version) =>
    version === undefined ? [] : [`${version}=${MODEL}/versions/${version}/model.onnx`],
  );
  startTrafficOf(MODEL, name, { month, clients, rows, models });
}

/** PSI of each feature, of the version that serves. */
function allPsi(): Record<string, number> {
  const found = query(
    `mlops:feature_psi{model="${MODEL}"} and on (model, version) mlops_model_serving{model="${MODEL}"} == 1`,
  );
  return Object.fromEntries(
    found.map(({ metric, value }) => [metric.feature!, Number(Number(value[1]).toFixed(4))]),
  );
}

/** The number of rows from which drift is computed now. */
function sampledRows(): number {
  const [found] = query(`min(mlops:feature_samples{model="${MODEL}", kind="feature"})`);
  return Number(found?.value[1] ?? 0);
}

function psi(feature: string): number | undefined {
  return allPsi()[feature];
}

function firing(): string[] {
  const names = 'ModelDrift|ModelPredictionDrift';
  return query(`ALERTS{alertname=~"${names}", alertstate="firing", model="${MODEL}"}`).map(
    ({ metric }) => `${metric.alertname} ${metric.feature}`,
  );
}

function times(taken: Record<string, Task>): string {
  return RUN.map((name) => {
    const { start_date, end_date } = taken[name]!;
    return `${name} ${Math.round((Date.parse(end_date!) - Date.parse(start_date!)) / 1000)} s`;
  }).join(', ');
}

function seconds(since: number): number {
  return Math.round((Date.now() - since) / 1000);
}
