import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApiObject, App } from 'cdk8s';
import { metricNames, promqlErrors } from '../lib/validation/promql';
import { SecretRef } from '../lib/definitions/secret-ref';
import { ManifestFile } from '../lib/kubernetes/manifest-file';
import { Workload } from '../lib/kubernetes/workload';
import { postgresConnection } from '../lib/foundation/database';
import { minioObservability } from '../lib/foundation/minio-observability';
import { postgresObservability } from '../lib/foundation/postgres-observability';
import { grafanaObservability } from '../lib/monitoring/grafana-observability';
import {
  gpuObservability,
  kubernetesObservability,
  nodeObservability,
} from '../lib/monitoring/kubernetes-observability';
import { modelObservability } from '../lib/monitoring/model-observability';
import { ModelMonitoring } from '../lib/monitoring/model-monitoring';
import { overviewDashboard } from '../lib/monitoring/overview-dashboard';
import { prometheusObservability } from '../lib/monitoring/prometheus-observability';
import { type Dashboard, dashboardJson } from '../lib/observability/dashboard';
import { Observability } from '../lib/observability/observability';
import { tritonObservability } from '../lib/serving/triton-observability';
import { mlflowObservability } from '../lib/training/mlflow-observability';
import { airflowDurations } from '../lib/workflow/airflow-durations';
import { airflowObservability } from '../lib/workflow/airflow-observability';
import { definePipeline } from '../lib';
import { TRIP } from './support/trip';

const RUNBOOKS = join(__dirname, '..', 'docs', 'runbooks');

describe('dashboards', () => {
  const { dashboards, observability } = everything();

  test('have different uids, and the overview is one of them', () => {
    const uids = dashboards.map(({ uid }) => uid);
    expect(new Set(uids).size).toBe(uids.length);
    expect(uids).toContain('mlops-overview');
    for (const uid of uids) expect(uid).toMatch(/^mlops-[a-z]+$/);
  });

  test.each(dashboards.map((dashboard) => [dashboard.uid, dashboard] as const))(
    '%s renders to panels with different numbers and places',
    (_, dashboard) => {
      const { panels } = render(dashboard);
      expect(panels.map(({ id }) => id)).toEqual(panels.map((_, index) => index + 1));
      for (const { targets } of panels) {
        const refIds = (targets ?? []).map(({ refId }) => refId);
        expect(new Set(refIds).size).toBe(refIds.length);
      }
      expect(overlaps(panels.map(({ gridPos }) => gridPos))).toEqual([]);
      expect(Math.max(...panels.map(({ gridPos }) => gridPos.x + gridPos.w))).toBeLessThanOrEqual(24);
    },
  );

  test.each(dashboards.map((dashboard) => [dashboard.uid, dashboard] as const))(
    '%s queries known metrics in well-formed PromQL',
    (_, dashboard) => {
      for (const { name, expr } of dashboard.rows.flatMap(({ signals }) => signals)) {
        expect({ name, errors: promqlErrors(expr) }).toEqual({ name, errors: [] });
        expect({ name, unknown: unknown(expr, observability) }).toEqual({ name, unknown: [] });
      }
      for (const { metric } of dashboard.variables ?? [])
        expect(observability.knownMetrics).toContain(metric);
    },
  );

  test('are the same bytes each time', () => {
    const again = everything().dashboards.map(dashboardJson);
    expect(dashboards.map(dashboardJson)).toEqual(again);
    for (const json of again) expect(json).toMatch(/^\{\n {2}"[^]*\}\n$/);
  });

  test('link to the overview', () => {
    for (const dashboard of dashboards) {
      expect(render(dashboard).links[0]).toMatchObject({ type: 'link', url: '/d/mlops-overview' });
    }
  });

  test('show a stat as its last value and a line with its legend', () => {
    const [, stat, line] = render({
      uid: 'mlops-example',
      title: 'Example',
      description: 'One of each.',
      rows: [
        {
          title: 'Row',
          signals: [
            { name: 'Now', description: 'Now.', unit: 'bool', expr: 'up', as: 'stat' },
            { name: 'Over time', description: 'Then.', unit: 's', expr: 'up', by: ['model', 'version'] },
          ],
        },
      ],
    }).panels;
    expect(stat).toMatchObject({
      type: 'stat',
      description: 'Now.',
      options: { reduceOptions: { calcs: ['lastNotNull'] } },
      targets: [{ legendFormat: 'Now', instant: true }],
    });
    expect(line).toMatchObject({
      type: 'timeseries',
      options: { legend: { showLegend: true } },
      fieldConfig: { defaults: { unit: 's' } },
      targets: [{ legendFormat: '{{model}} {{version}}', datasource: { uid: 'prometheus' } }],
    });
  });
});

describe('alerts', () => {
  const { rules, observability } = everything();

  test('have different names', () => {
    const names = rules.map(({ alert }) => alert);
    expect(new Set(names).size).toBe(names.length);
  });

  test.each(rules.map((rule) => [rule.alert, rule] as const))(
    '%s queries known metrics in well-formed PromQL',
    (_, { expr }) => {
      expect(promqlErrors(expr)).toEqual([]);
      expect(unknown(expr, observability)).toEqual([]);
      // Grafana's variables mean nothing to Prometheus.
      expect(expr).not.toMatch(/\$/);
    },
  );

  test.each(rules.map(({ alert }) => alert))('%s has a runbook', (alert) => {
    const file = join(RUNBOOKS, `${alert}.md`);
    expect(existsSync(file)).toBe(true);
    const text = readFileSync(file, 'utf8');
    const headings = text.split('\n').filter((line) => line.startsWith('#'));
    expect(headings).toEqual([`# ${alert}`, '## Meaning', '## Impact', '## First commands', '## Fix']);
    const commands = /```sh\n([^]*?)```/.exec(text)?.[1]?.trim().split('\n') ?? [];
    expect(commands).toHaveLength(3);
    for (const command of commands) expect(command).toMatch(/^kubectl /);
    for (const [, other] of text.matchAll(/\]\((\w+\.md)\)/g)) {
      expect(readdirSync(RUNBOOKS)).toContain(other);
    }
  });
});

test('the recording rules of a pipeline query known metrics in well-formed PromQL, and their names are known metrics too', () => {
  const { records, observability } = everything();
  expect(records.map(({ record }) => record)).toEqual([
    'mlops:feature_samples',
    'mlops:feature_share',
    'mlops:feature_psi',
  ]);
  for (const { record, expr } of records) {
    expect({ record, errors: promqlErrors(expr), unknown: unknown(expr, observability) }).toEqual({
      record,
      errors: [],
      unknown: [],
    });
    expect(observability.knownMetrics).toContain(record);
  }
});

test('an alert has its runbook in the annotation runbook_url, as kube-prometheus does', () => {
  for (const { alert, annotations } of everything().rules) {
    expect(annotations?.runbook_url).toBe(`docs/runbooks/${alert}.md`);
    expect(annotations).not.toHaveProperty('runbook');
  }
});

test('recording rules of a system are written although it has no alert', () => {
  const scope = new ManifestFile(new App({ outdir: 'unused' }), 'scope', { file: 'file' });
  const observability = new Observability();
  observability.watch(scope, { system: 'shop', records: [{ record: 'shop:orders', expr: 'sum(up)' }] });
  observability.watch(scope, { system: 'silent' });
  const rules = (scope.toJson() as { kind: string; metadata: object; spec: object }[]).filter(
    ({ kind }) => kind === 'PrometheusRule',
  );
  expect(rules).toHaveLength(1);
  // Of what others are watched for, nothing.
  const SUM = 'sum(up{monitored_namespace=""})';
  expect(rules[0]).toMatchObject({
    metadata: { name: 'shop' },
    spec: { groups: [{ name: 'shop', rules: [{ record: 'shop:orders', expr: SUM }] }] },
  });
  expect(observability.knownMetrics).toContain('shop:orders');
});

test('every runbook has an alert', () => {
  const alerts = everything().rules.map(({ alert }) => `${alert}.md`);
  expect(readdirSync(RUNBOOKS).sort()).toEqual([...alerts].sort());
});

test('monitors have different names and take their job from the label of their system', () => {
  const monitors = everything().objects.filter(({ kind }) => /^(Service|Pod)Monitor$/.test(kind));
  const names = monitors.map(({ kind, metadata }) => `${kind} ${metadata.namespace} ${metadata.name}`);
  expect(new Set(names).size).toBe(names.length);
  for (const { spec } of monitors) expect(spec.jobLabel).toBe('app.kubernetes.io/name');
});

test('no object holds an empty list, which the API server would drop', () => {
  const custom = everything().objects.filter(({ apiVersion }) =>
    apiVersion.startsWith('monitoring.coreos.com'),
  );
  expect(JSON.stringify(custom)).not.toContain('[]');
});

test('the exporter logs in to Postgres with a role of its own', () => {
  const exporter = everything().objects.find(
    ({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'postgres-exporter',
  );
  const { env } = exporter.spec.template.spec.containers[0];
  const names = env.map(({ name }: { name: string }) => name);
  // Kubernetes replaces `$(PGHOST)` only where it stands after PGHOST.
  expect(names.indexOf('DATA_SOURCE_URI')).toBeGreaterThan(names.indexOf('PGDATABASE'));
  expect(env).toContainEqual({
    name: 'PGPASSWORD',
    valueFrom: { secretKeyRef: { name: 'postgres-monitoring', key: 'password' } },
  });
});

interface Rule {
  readonly alert?: string;
  readonly record?: string;
  readonly expr: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

interface Place {
  x: number;
  y: number;
  w: number;
  h: number;
}

interface Panel {
  id: number;
  gridPos: Place;
  targets?: { refId: string }[];
}

function render(dashboard: Dashboard): { panels: Panel[]; links: unknown[] } {
  return JSON.parse(dashboardJson(dashboard));
}

function overlaps(places: Place[]): [Place, Place][] {
  return places.flatMap((a, index) =>
    places
      .slice(index + 1)
      .filter((b) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h)
      .map((b): [Place, Place] => [a, b]),
  );
}

function unknown(expr: string, observability: Observability): string[] {
  return metricNames(expr).filter((name) => !observability.knownMetrics.has(name));
}

/** The observability of all modules, with stand-ins for the workloads that the modules would build. */
function everything() {
  const scope = new ManifestFile(new App({ outdir: '/tmp/unused' }), 'scope', { file: 'scope' });
  const observability = new Observability();
  const postgres = standIn(scope, 'postgres', 'server', { postgres: 5432 });
  const password = new SecretRef('postgres-monitoring', ['password']).key('password');
  const database = {
    monitoringClient: () =>
      postgresConnection(postgres.endpoint('postgres'), {
        database: 'postgres',
        username: 'monitoring',
        password,
      }),
  };
  postgresObservability(scope, { observability, database });
  minioObservability(scope, { observability, server: standIn(scope, 'minio', 'server', { s3: 9000 }) });
  airflowObservability(scope, { observability });
  mlflowObservability(scope, { observability, server: standIn(scope, 'mlflow', 'server', { http: 5000 }) });
  tritonObservability(scope, {
    observability,
    server: standIn(scope, 'triton', 'server', { metrics: 8002, status: 9101 }),
  });
  prometheusObservability(scope, {
    observability,
    operator: standIn(scope, 'prometheus-operator', 'operator', { http: 8080 }),
  });
  kubernetesObservability(scope, {
    observability,
    kubeStateMetrics: standIn(scope, 'kube-state-metrics', 'exporter', { http: 8080 }),
  });
  modelObservability(scope, { observability });
  const model = definePipeline({ ...TRIP, retraining: { onError: 10 } });
  new ModelMonitoring(scope, 'monitoring', { ...model, observability });
  nodeObservability(scope, { observability });
  gpuObservability(scope, { observability });
  grafanaObservability(scope, { observability, server: standIn(scope, 'grafana', 'server', { http: 3000 }) });
  const objects = scope.node
    .findAll()
    .filter((construct) => ApiObject.isApiObject(construct))
    .map((object) => (object as ApiObject).toJson());
  const every: Rule[] = objects
    .filter(({ kind }) => kind === 'PrometheusRule')
    .flatMap(({ spec }) => spec.groups.flatMap((group: { rules: unknown[] }) => group.rules));
  const rules = every.flatMap(({ alert, expr, annotations }) =>
    alert ? [{ alert, expr, annotations }] : [],
  );
  const records = every.flatMap(({ record, expr }) => (record ? [{ record, expr }] : []));
  return {
    observability,
    objects,
    rules,
    records,
    dashboards: [overviewDashboard(airflowDurations(observability.prometheus)), ...observability.dashboards],
  };
}

function standIn(
  scope: ManifestFile,
  system: string,
  component: string,
  ports: Record<string, number>,
): Workload {
  return new Workload(scope, system, {
    name: system,
    system,
    component,
    ports,
    image: 'example/image:1',
    user: { uid: 1000, gid: 1000 },
    cpu: { request: '10m' },
    memory: { request: '16Mi' },
  });
}
