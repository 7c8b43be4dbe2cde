import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { defineEnvironment, Monitoring } from '../../../lib';
import { NAMESPACES } from '../../../lib/kubernetes/namespaces';
import type { Manifest } from '../../../lib/validation/manifests';
import { appliedObjects, customResources } from '../../../scripts/cli/platform/manifests';
import { ended, runs } from '../support/airflow';
import { report, timed } from '../support/cluster';
import {
  dashboards,
  evaluatedRules,
  panelQueries,
  poolsThatAreUp,
  ruleNames,
  scrapePools,
} from '../support/monitoring';
import { startNode } from '../support/node';
import { applyPipeline, published, synthesizeAs, taxi } from '../support/pipelines';
import { cluster, npm, serviceUrl } from '../support/platform';
import { ask, type Lineage } from '../support/programs';
import { prometheus as askPrometheus, query as queryOf, type Sample, until } from '../support/prometheus';
import { said, stepStopped } from '../support/step';
import { startTraffic, STEADY } from '../support/traffic';
import { ALERTMANAGER, definitions, MONITORING, neighbour, PROMETHEUS, RELEASE, stack } from './stack';

const MODEL = 'trip-duration';
const NEIGHBOUR = 'shop';
const IN_MONITORING = `--namespace=${MONITORING}`;

const environment = defineEnvironment({
  monitoring: Monitoring.existing({
    address: `http://${PROMETHEUS}.${MONITORING}.svc:9090`,
    namespace: MONITORING,
    pods: { 'app.kubernetes.io/name': 'prometheus' },
    labels: RELEASE,
  }),
});
const dist = synthesizeAs(environment, taxi());
// What `npm run deploy` applies.
process.env.CDK8S_OUTDIR = dist;
const objects = appliedObjects(join(dist, 'laptop'));
const custom = customResources(objects);

let theirs: Record<string, string>;
let url: string;

beforeAll(startNode);
afterAll(() => {
  rmSync(dirname(dist), { recursive: true });
  // Left up for a look when a person asks for it.
  if (!process.env.KEEP_CLUSTER) cluster.down();
});

test('before there is a Prometheus, npm run deploy says what is missing and applies nothing', () => {
  const { status, stderr } = deploy();
  report(stderr.trim());
  expect(status).toBe(1);
  expect(stderr).toContain(
    'There is no definition of\n  prometheusrules.monitoring.coreos.com\n  servicemonitors.monitoring.coreos.com\n',
  );
  expect(namespaces()).not.toContain('mlops-platform');
});

test('somebody else’s Prometheus runs, and watches what it is told to', () => {
  apply(definitions());
  cluster.kubectl(
    'wait',
    '--for=condition=Established',
    'customresourcedefinition',
    '--all',
    '--timeout=60s',
  );
  apply(stack());
  for (const name of [`statefulset/prometheus-${PROMETHEUS}`, `statefulset/alertmanager-${ALERTMANAGER}`]) {
    until(
      () => cluster.try(['get', name, IN_MONITORING, '--output=jsonpath={.status.readyReplicas}']).output,
      (ready) => ready === '1',
      300,
    );
  }
  apply(neighbour(NEIGHBOUR, MODEL, '1'));
  url = serviceUrl(PROMETHEUS, 9090, IN_MONITORING);
  expect(
    until(
      () => down(),
      (jobs) => jobs.includes('postgres'),
      180,
    ),
  ).toContain('postgres');
  theirs = stateOfTheirs();
  expect(Object.keys(theirs).length).toBeGreaterThan(20);
});

test('the platform is deployed beside it with the one command, and nothing of ours watches', () => {
  const { seconds, result } = timed(deploy);
  report(`deployed in ${seconds} s: ${summary(result.stdout)}`);
  expect(result).toMatchObject({ status: 0 });
  const ours = NAMESPACES.flatMap(
    (namespace) =>
      cluster.get<{ items: Manifest[] }>('deployments,statefulsets,daemonsets', `--namespace=${namespace}`)
        .items,
  ).map(({ metadata }) => metadata.name);
  expect(ours).toContain('airflow-statsd');
  const watches = /^(prometheus|alertmanager|grafana|kube-state-metrics|node-exporter)/;
  expect(ours.filter((name) => watches.test(name))).toEqual([]);
});

test('every monitor of ours has its target there, and it is up', () => {
  const wanted = scrapePools(custom.filter(({ kind }) => kind.endsWith('Monitor')));
  const up = poolsThatAreUp(wanted, url);
  expect(wanted.length).toBeGreaterThan(5);
  expect(wanted.filter((pool) => !up.includes(pool))).toEqual([]);
});

test('every rule of ours is loaded there and evaluates', () => {
  const wanted = ruleNames(custom);
  const loaded = evaluatedRules(wanted.length, url, (file) => file.includes('/mlops-'));
  expect(loaded.map(({ name }) => name).sort()).toEqual(wanted);
  expect(loaded.filter(({ health }) => health !== 'ok')).toEqual([]);
});

test('every dashboard is a ConfigMap that a sidecar finds, and every panel a query that is answered', () => {
  const found = cluster.get<{ items: Manifest[] }>(
    'configmaps',
    '--all-namespaces',
    '--selector=grafana_dashboard=1',
  ).items;
  const wanted = dashboards(objects);
  expect(found.map(({ metadata }) => metadata.name).sort()).toEqual(
    wanted.map(({ metadata }) => metadata.name).sort(),
  );
  const queries = panelQueries(found);
  const empty = queries.filter(({ expr }) => query(expr).length === 0);
  report(
    `${queries.length} panels asked; ${empty.length} have nothing to show yet: ${empty.map(({ where }) => where).join('; ')}`,
  );
  expect(queries.length).toBeGreaterThan(60);
});

test('Airflow’s metrics arrive by the exporter, with their labels and under their names', () => {
  const beats = until(
    () => query('rate(airflow_scheduler_heartbeat_total{namespace="mlops-platform"}[5m]) > 0'),
    (series) => series.length > 0,
    300,
  );
  expect(beats).toHaveLength(1);
  const slots = until(
    () => query('airflow_pool_open_slots{pool_name="default_pool"}'),
    (series) => series.length > 0,
    120,
  );
  expect(slots).toHaveLength(1);
  const names = prometheus<string[]>('label/__name__/values').filter((name) => name.startsWith('airflow_'));
  report(`${names.length} metrics of Airflow: ${names.join(', ')}`);
});

test('the first model is trained and serves', () => {
  const [first] = until(
    () => runs(MODEL),
    (found) => found.length > 0,
    300,
  );
  expect(ended(MODEL, first!.dag_run_id, 900).state).toBe('success');
  expect(ask<{ served: string }>(MODEL, 'golden', MODEL).served).toBe('1');
  const length = until(
    () => query(`airflow_dagrun_duration_success_seconds_count{dag_id="${MODEL}"}`),
    (series) => series.length > 0,
    120,
  );
  expect(length.map(({ value }) => value[1])).toEqual(['1']);
});

test('what happens in another team’s namespace is no alert of ours, and retrains nothing', () => {
  // Their program is down, and by its name it could be ours; their alert is about our model's version.
  expect(query(`up{job="postgres", namespace="${NEIGHBOUR}"} == 0`)).not.toEqual([]);
  const strangers = `ALERTS{alertname="ModelDrift", alertstate="firing", model="${MODEL}", version="1"}`;
  expect(query(strangers).map(({ metric }) => metric.namespace)).toEqual([NEIGHBOUR]);
  const serving = query(`mlops_model_serving{model="${MODEL}", version="1"} == 1`);
  expect(serving).toHaveLength(1);
  const before = looks();
  until(looks, (count) => count >= before + 2, 300);
  expect(looks()).toBeGreaterThanOrEqual(before + 2);
  expect(retrainings()).toEqual([]);
  expect(npm('status').stdout).not.toContain('ModelDrift');
});

describe('when the world moves', () => {
  test('the alert fires there, reaches their Alertmanager, and starts exactly one retraining', () => {
    applyPipeline(taxi({ source: published('2024-01') }), environment);
    startTraffic(MODEL, 'moved', { month: '2024-01', ...STEADY });
    const began = Date.now();
    const alerts = until(firing, (found) => found.length > 0, 500);
    report(
      `drifted after ${Math.round((Date.now() - began) / 1000)} s: ${alerts.map(({ metric }) => metric.feature).join(', ')}`,
    );
    expect(alerts[0]!.metric).toMatchObject({
      alertname: expect.stringMatching(/^Model(Prediction)?Drift$/),
      namespace: 'mlops-platform',
      system: `model-${MODEL}`,
      version: '1',
    });
    expect(npm('status').stdout).toMatch(/^ {2}Model(Prediction)?Drift \(warning\) .*version=1 /m);
    const reached = until(
      alertmanagerHears,
      (found) => found.some(({ namespace }) => namespace === 'mlops-platform'),
      120,
    );
    expect(reached.some(({ namespace }) => namespace === 'mlops-platform')).toBe(true);

    const events = until(retrainings, (found) => found.length > 0, 300);
    expect(events).toHaveLength(1);
    expect(ended(MODEL, events[0]!.dag_run_id, 900).state).toBe('success');
    report(`from the first drifted request to the new model: ${Math.round((Date.now() - began) / 1000)} s`);
  });

  test('the new version serves, trained on the newest month, and nothing is trained again', () => {
    const lineage = ask<Lineage>(MODEL, 'lineage', MODEL);
    expect(lineage.tags).toMatchObject({ 'lifecycle.batch': '2024-01', 'lifecycle.parent_version': '1' });
    expect(lineage.aliases).toEqual({ champion: 2, previous: 1 });
    expect(ask<{ served: string }>(MODEL, 'golden', MODEL).served).toBe('2');
    expect(until(firing, (found) => found.length === 0, 300)).toEqual([]);
    const traffic = said<{ requests: number; failed: number }>(stepStopped('moved'));
    report(`${traffic.requests} requests, ${traffic.failed} failed`);
    expect(traffic.failed).toBe(0);
    expect(retrainings()).toHaveLength(1);
  });
});

test('nothing of theirs has changed', () => {
  expect(stateOfTheirs()).toEqual(theirs);
  const again = deploy();
  report(`deployed again: ${summary(again.stdout)}`);
  expect(again).toMatchObject({ status: 0 });
  expect(stateOfTheirs()).toEqual(theirs);
});

function deploy() {
  return npm('deploy', '--', 'laptop');
}

function summary(stdout: string): string | undefined {
  return stdout.split('\n').find((line) => line.includes(' objects: '));
}

function apply(items: readonly object[]): void {
  const { status, output } = cluster.try(
    ['apply', '--server-side', '--filename', '-'],
    JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
  );
  if (status !== 0) throw new Error(output);
}

function namespaces(): string[] {
  return cluster.get<{ items: Manifest[] }>('namespaces').items.map(({ metadata }) => metadata.name);
}

function prometheus<T>(path: string): T {
  return askPrometheus<T>(path, url);
}

function query(expression: string): Sample[] {
  return queryOf(expression, url);
}

function down(): string[] {
  return query('up == 0').map(({ metric }) => metric.job!);
}

/** Ours alone. */
function firing(): Sample[] {
  return query(
    `ALERTS{alertname=~"ModelDrift|ModelPredictionDrift", alertstate="firing", model="${MODEL}", namespace="mlops-platform"}`,
  );
}

function alertmanagerHears(): Record<string, string>[] {
  const address = serviceUrl(ALERTMANAGER, 9093, IN_MONITORING);
  const answer = cluster.enter('curl', '--silent', '--max-time', '30', `${address}/api/v2/alerts`);
  return (JSON.parse(answer) as { labels: Record<string, string> }[])
    .map(({ labels }) => labels)
    .filter(({ alertname }) => /^Model(Prediction)?Drift$/.test(alertname!));
}

function retrainings() {
  return runs(MODEL).filter(({ run_type }) => run_type === 'asset_triggered');
}

/** How often the alerts were looked at. */
function looks(): number {
  return runs(`${MODEL}.watch`).filter(({ state }) => state === 'success').length;
}

/** What each object of theirs is, by its name: its version, or, where its status moves by itself, its generation. */
function stateOfTheirs(): Record<string, string> {
  const still = 'services,serviceaccounts,servicemonitors,prometheusrules';
  const lively = 'deployments,prometheuses,alertmanagers';
  const clusterWide = 'customresourcedefinitions,clusterroles,clusterrolebindings';
  const items = [
    ...[MONITORING, NEIGHBOUR].flatMap((namespace) =>
      [still, lively].flatMap(
        (kinds) => cluster.get<{ items: Manifest[] }>(kinds, `--namespace=${namespace}`).items,
      ),
    ),
    ...cluster
      .get<{ items: Manifest[] }>(clusterWide)
      .items.filter(({ metadata }) => /kube-prometheus-stack|monitoring\.coreos\.com/.test(metadata.name)),
  ];
  return Object.fromEntries(
    items.map(({ kind, metadata }) => {
      const { uid, resourceVersion, generation } = metadata as unknown as Record<string, string>;
      const moves = ['Deployment', 'Prometheus', 'Alertmanager'].includes(kind);
      return [
        `${kind} ${metadata.namespace ?? ''}/${metadata.name}`,
        `${uid} ${moves ? generation : resourceVersion}`,
      ];
    }),
  );
}
