import { STEPS } from '../../../lib/definitions/names';
import { ended, eventsOf, firstRun, log, type Run, runs, tasks, trigger } from '../support/airflow';
import { report } from '../support/cluster';
import { PORT, putSecret, removeDatabase, sql, startDatabase } from '../support/owners-database';
import { applyPipeline, NODE, removePipeline } from '../support/pipelines';
import { cluster, PLATFORM } from '../support/platform';
import { ask } from '../support/programs';
import { query, until } from '../support/prometheus';
import { csv, sizes, things, THINGS } from '../support/sizes';

/** The pipeline whose source is files in the platform's store. It has payloads, late labels and a shadow. */
const FILES = 'late-labels';
const INCOMING = `incoming/${FILES}/`;

/** The pipeline whose source is a database that belongs to the owner. */
const ROWS = 'from-database';
const SECRET = 'owners-warehouse';

/** The pipeline in whose step pods small programs run; any would do, because all steps have the same rights. */
const ANY = 'trip-duration';

/** A thing weighs three times its size in the first batch, and twice its size in the second. */
const [BEFORE, NOW] = [3, 2];

/** Triton writes traces ten at a time, so up to nine of the newest are not written yet. */
const UNWRITTEN = 9;

/** Sizes that a client asks about. */
const ASKED = Array.from({ length: 200 + UNWRITTEN }, (_, index) => Number((0.5 + index / 500).toFixed(6)));

/** The number of requests that get a label. */
const LABELLED = 150;

/** The number of rows that the shadow must score before the gate decides. */
const SHADOW_ROWS = 200;

type Answers = [version: string, answer: number][];

let steps: () => Record<string, string[]>;

beforeAll(() => {
  // The first step that ever runs makes the Python environment that the small programs need too.
  ended(ANY, firstRun(ANY).dag_run_id, 900);
  const batch = things('2024-01', BEFORE);
  ask(ANY, 'lay', `${INCOMING}2024-01/`, csv(batch.slice(0, 100)), csv(batch.slice(100)));
  applyPipeline(files('2024-01'));
  putSecret(SECRET, startDatabase(SCHEMA));
  steps = watchSteps(ROWS);
  applyPipeline(rows());
});

afterAll(() => {
  removePipeline(files('2024-02'));
  removePipeline(rows());
  removeDatabase(SECRET);
});

describe('files in the object store', () => {
  test('make a model that serves', () => {
    expect(ended(FILES, firstRun(FILES).dag_run_id, 900).state).toBe('success');
    const batch = ask<Collected>(FILES, 'collected', FILES, '2024-01');
    report(`${batch.rows} rows of ${batch.source}`);
    expect(batch).toMatchObject({
      rows: THINGS,
      quarantined: { total: 0 },
      source: `s3://data/${INCOMING}2024-01/`,
    });
  });

  test('requests of a client are kept with the answers of the model', () => {
    const answers = asked('asked', ASKED);
    expect(factors(answers)).toEqual({ 1: [BEFORE, BEFORE] });
    const written = ASKED.length - UNWRITTEN;
    const { objects, requests } = ask<Sampled>(FILES, 'sampled', FILES, '1', 'asked-', String(written));
    report(`${requests.length} requests of ${ASKED.length} are kept, in ${objects} objects`);
    const kept = Object.fromEntries(requests.map((each) => [each.requestId, each]));
    expect(Object.keys(kept)).toHaveLength(requests.length);
    for (const [index, size] of ASKED.slice(0, written).entries()) {
      const { features, predictions } = kept[`asked-${index}`]!;
      expect(features[0]![0]).toBeCloseTo(size, 5);
      expect(predictions[0]![0]).toBeCloseTo(answers[index]![1], 4);
    }
  });
});

describe('labels that arrive later', () => {
  test('are collected by a run whose training fails', () => {
    const labelled = things('2024-02', NOW, ASKED.slice(0, LABELLED), 'asked');
    ask(ANY, 'lay', `${INCOMING}2024-02/`, csv(labelled));
    const { definition, model } = files('2024-02');
    applyPipeline({ definition, model: model.replace('rows[["size"]]', 'rows[["length"]]') });
    const run = trigger(FILES, { batch: '2024-02' });
    expect(ended(FILES, run).state).toBe('failed');
    expect(tasks(FILES, run)).toMatchObject({
      collect: { state: 'success' },
      train: { state: 'failed', try_number: 1 },
    });
    // The next run needs the model without the fault.
    applyPipeline({ definition, model });
  });

  test('measure the error of the answers to those requests', () => {
    const { version, metric, value, rows: joined } = ask<LiveError>(FILES, 'error', FILES);
    report(`${metric} of version ${version} on ${joined} labelled requests: ${value}`);
    expect({ version, metric, joined }).toEqual({ version: 1, metric: 'mae', joined: LABELLED });
    expect(value).toBeCloseTo(mean(ASKED.slice(0, LABELLED)) * (BEFORE - NOW), 4);
    const live = `mlops_live_error{model="${FILES}", version="1", metric="mae"}`;
    expect(until(() => number(live), Number.isFinite, 120)).toBeCloseTo(value, 6);
    expect(number(`mlops_labelled_rows{model="${FILES}", version="1"}`)).toBe(LABELLED);
  });

  test('lead to a drift report for people', () => {
    const dag = `${FILES}.monitor`;
    const said = until(
      () =>
        runs(dag)
          .filter(({ state }) => state === 'success')
          .map(({ dag_run_id }) => log(dag, dag_run_id, 'monitor'))
          .join(),
      (lines) => lines.includes('reports/drift-requests-'),
      180,
    );
    const [line, count] = said.match(/report on (\d+) rows: reports\/drift-requests-[^"]*\.html/) ?? [];
    report(line ?? 'no report');
    expect(Number(count)).toBeGreaterThanOrEqual(ASKED.length - UNWRITTEN);
    expect(runs(dag).filter(({ state }) => state === 'failed')).toEqual([]);
  });
});

describe("rows of the owner's database", () => {
  let first: Run;

  test('make a model that serves', () => {
    first = firstRun(ROWS);
    expect(ended(ROWS, first.dag_run_id, 900).state).toBe('success');
    expect(
      factors(ask<Answers>(ROWS, 'ask_each', ROWS, 'asked', JSON.stringify(ASKED.slice(0, 20)))),
    ).toEqual({
      1: [BEFORE, BEFORE],
    });
  });

  test('are those of the period, from its first moment to its last, in UTC', () => {
    const batch = ask<Collected>(ROWS, 'collected', ROWS, '2024-01');
    report(`${batch.rows} rows from ${batch.first} to ${batch.last}`);
    expect(batch).toMatchObject({
      rows: THINGS + 1,
      quarantined: { total: 0 },
      periodStart: Date.parse('2024-01-01T00:00:00Z') / 1000,
      periodEnd: Date.parse('2024-02-01T00:00:00Z') / 1000,
      first: '2024-01-01T00:00:00',
      last: '2024-01-31T23:59:59.999999',
    });
    // The table also has one row before and one after the period.
    expect(Number(sql('SELECT count(*) FROM deliveries'))).toBe(batch.rows + 2);
  });

  test('are read by the step collect, which alone gets the login', () => {
    const { collect, ...others } = STEPS.run;
    const without = expect.not.arrayContaining([SECRET]) as string[];
    expect(steps()).toEqual({
      [collect]: expect.arrayContaining([SECRET]) as string[],
      ...Object.fromEntries([...Object.values(others), STEPS.alone.monitor].map((step) => [step, without])),
    });
  });

  test('are out of the reach of every other pod of the pipeline', () => {
    // Port 80 shows that the host answers: it is open to every step.
    expect(ask(ROWS, 'reaches', NODE, String(PORT), '80')).toEqual({
      connects: { [PORT]: false, 80: true },
      knows: false,
    });
  });
});

describe('an error beyond what the owner allows', () => {
  let retraining: Run['dag_run_id'];

  test('raises the alert, and exactly one retraining', () => {
    const alerts = until(
      () => query(`ALERTS{alertname="ModelError", alertstate="firing", model="${FILES}"}`),
      (found) => found.length > 0,
      300,
    );
    expect(alerts.map(({ metric }) => metric)).toMatchObject([{ version: '1', metric: 'mae' }]);
    const events = until(
      () => runs(FILES).filter(({ run_type }) => run_type === 'asset_triggered'),
      (found) => found.length > 0,
      300,
    );
    expect(events).toHaveLength(1);
    retraining = events[0]!.dag_run_id;
    expect(eventsOf(FILES, retraining)).toEqual([{ version: '1', reasons: ['ModelError mae'] }]);
  });

  test('makes the challenger a shadow, which scores sampled rows and answers no client', () => {
    until(
      () => tasks(FILES, retraining).register?.state,
      (state) => state === 'success',
      300,
    );
    expect(until(replica, ({ shadow }) => shadow !== null, 60)).toMatchObject({ serving: 1, shadow: 2 });
    const before = dropped();
    const answers = asked('shadowed', ASKED.slice(0, SHADOW_ROWS / 2));
    expect(factors(answers)).toEqual({ 1: [BEFORE, BEFORE] });
    const least = SHADOW_ROWS / 2 - UNWRITTEN;
    const [total, bins] = ['mlops_shadow_rows_total', 'mlops_shadow_bin_total'].map(
      (name) => `sum(${name}{model="${FILES}", version="2"})`,
    ) as [string, string];
    const counted = until(
      () => number(total),
      (rows) => rows >= least,
      120,
    );
    report(`the shadow scored ${counted} rows of ${answers.length} that were asked`);
    expect(counted).toBeGreaterThanOrEqual(least);
    // One query, so that both counters are of the same moment.
    expect(number(`${bins} - ${total}`)).toBe(0);
    expect(dropped()).toBe(before);
    // There are fewer rows than the gate wants, so it still waits.
    expect(counted).toBeLessThan(SHADOW_ROWS);
    expect(tasks(FILES, retraining).gate!.end_date).toBeNull();
  });

  test('ends with the challenger in place, once its shadow has scored enough', () => {
    const answers = asked('more', ASKED.slice(0, SHADOW_ROWS / 2 + 2 * UNWRITTEN));
    expect(factors(answers.filter(([version]) => version === '1'))).toEqual({ 1: [BEFORE, BEFORE] });
    expect(ended(FILES, retraining).state).toBe('success');
    const said = log(FILES, retraining, 'gate');
    const [line, scored] = said.match(/the shadow scored (\d+) rows, \d+ were wanted; 0 replicas/) ?? [];
    const [distance, psi] = said.match(/shadow against champion, PSI of the predictions: ([\d.e+-]+)/) ?? [];
    report(`${line}; ${distance}; ${said.match(/promoted: [^"]*/)?.[0]}`);
    expect(Number(scored)).toBeGreaterThanOrEqual(SHADOW_ROWS);
    expect(Number(psi)).toBeGreaterThan(0);
    expect(factors(asked('after', ASKED))).toEqual({ 2: [NOW, NOW] });
    expect(replica()).toMatchObject({ serving: 2, shadow: null, shadowRows: 0 });
    expect(runs(FILES).map(({ run_type }) => run_type)).toEqual(['scheduled', 'manual', 'asset_triggered']);
  });
});

test('a model whose pointer was deleted is served no longer', () => {
  removePipeline(files('2024-02'));
  removePipeline(rows());
  const left = ask<string[]>(ANY, 'withdraw', FILES, ROWS);
  report(`left are ${left.join(', ')}`);
  expect(left).toContain(ANY);
  expect(left).not.toContain(FILES);
  expect(left).not.toContain(ROWS);
});

interface Collected {
  readonly rows: number;
  readonly source: string;
  readonly first: string;
  readonly last: string;
}

interface Sampled {
  readonly objects: number;
  readonly requests: { requestId: string; features: number[][]; predictions: number[][] }[];
}

interface LiveError {
  readonly version: number;
  readonly metric: string;
  readonly value: number;
  readonly rows: number;
}

interface Replica {
  readonly serving: number | null;
  readonly shadow: number | null;
  readonly shadowRows: number;
}

const SCHEMA = `
  ALTER DATABASE warehouse SET timezone TO 'Asia/Seoul';
  CREATE TABLE deliveries (
    taken_at timestamptz NOT NULL, size double precision NOT NULL, weight numeric(9, 6) NOT NULL
  );
  INSERT INTO deliveries VALUES ${[
    ...things('2024-01', BEFORE).map(({ time, size, weight }) => [time, size, weight]),
    ['2023-12-31T23:59:59.999999Z', 0.6, 0.6 * BEFORE],
    ['2024-01-31T23:59:59.999999Z', 0.7, 0.7 * BEFORE],
    ['2024-02-01T00:00:00Z', 0.8, 0.8 * BEFORE],
  ]
    .map(([time, size, weight]) => `('${time}', ${size}, ${weight})`)
    .join(', ')};
`;

function files(until: string) {
  return sizes({
    name: FILES,
    source: { type: 's3', prefix: `${INCOMING}{{ month }}/`, format: 'csv', until },
    requestId: 'request',
    serving: { payloads: true, shadow: true, traceOneIn: 1 },
    retraining: { onDrift: false, onError: 0.1, every: '30s' },
  });
}

function rows() {
  return sizes({
    name: ROWS,
    source: {
      type: 'sql',
      query:
        'SELECT taken_at AS time, size, weight FROM deliveries WHERE taken_at >= :start AND taken_at < :end',
      period: 'month',
      secretName: SECRET,
      port: PORT,
      until: '2024-01',
    },
  });
}

function asked(prefix: string, values: readonly number[]): Answers {
  return ask<Answers>(FILES, 'ask_each', FILES, prefix, JSON.stringify(values));
}

/** The model's entry in `GET /status` of the sidecar beside Triton. */
function replica(): Replica {
  const selector = '--selector=app.kubernetes.io/name=triton,app.kubernetes.io/component=server';
  const { items } = cluster.get<{ items: { status: { podIP: string } }[] }>('pods', PLATFORM, selector);
  const url = `http://${items[0]!.status.podIP}:9101/status`;
  const answer = cluster.enter('curl', '--silent', '--show-error', '--max-time', '10', url);
  return (JSON.parse(answer) as { models: Record<string, Replica> }).models[FILES]!;
}

/** The least and the greatest factor between size and weight that the answers show, by version. */
function factors(answers: Answers): Record<string, [number, number]> {
  const byVersion: Record<string, number[]> = {};
  for (const [index, [version, answer]] of answers.entries())
    (byVersion[version] ??= []).push(Number((answer / ASKED[index]!).toFixed(3)));
  return Object.fromEntries(
    Object.entries(byVersion).map(([version, found]) => [version, [Math.min(...found), Math.max(...found)]]),
  );
}

/**
 * Watches a pipeline's step pods from now on, so that it sees a pod however short it lives.
 * @returns a function that returns the names of the Secrets that the pods seen so far use, by step
 */
function watchSteps(pipeline: string): () => Record<string, string[]> {
  const file = `/run/steps-of-${pipeline}`;
  const columns = [
    'STEP:.metadata.labels.mlops-lifecycle/step',
    'SECRETS:.spec.containers[*].env[*].valueFrom.secretKeyRef.name',
  ];
  const watch = [
    `kubectl get pods --namespace=mlops-steps --selector=mlops-lifecycle/pipeline=${pipeline},mlops-lifecycle/step`,
    `--watch --no-headers --output=custom-columns=${columns.join(',')}`,
  ].join(' ');
  cluster.enter('sh', '-c', `setsid timeout 1800 ${watch} >${file} 2>&1 &`);
  return () =>
    Object.fromEntries(
      cluster
        .enter('cat', file)
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => line.split(/\s+/))
        .map(([step, secrets]) => [step!, secrets!.split(',')]),
    );
}

/** The one value of an expression; NaN where there is none. */
function number(expression: string): number {
  return Number(query(expression)[0]?.value[1]);
}

/** The number of traces that could not be counted, kept or scored. */
function dropped(): number {
  return number('sum(mlops_trace_dropped_total)');
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
