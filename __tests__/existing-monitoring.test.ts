/** A cluster that has Prometheus already: what is there then, and that all of it speaks of the platform alone. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parser } from '@prometheus-io/lezer-promql';
import {
  Accelerator,
  Database,
  defineEnvironment,
  definePipeline,
  type EnvironmentProps,
  Monitoring,
  ObjectStore,
  SecretRef,
  synthesize,
} from '../lib';
import { dashboardJson } from '../lib/observability/dashboard';
import { platformDashboard } from '../lib/observability/platform-series';
import { writeChart } from '../lib/synth/chart';
import { render } from '../lib/synth/render';
import { type Manifest, title } from '../lib/validation/manifests';
import { metricNames, withMatcher } from '../lib/validation/promql';
import { appliedObjects, customResources } from '../scripts/cli/platform/manifests';
import { filesOf } from './support/dist';
import { TRIP } from './support/trip';

type Existing = Parameters<typeof Monitoring.existing>[0];

const STACK: Existing = {
  address: 'http://kube-prometheus-stack-prometheus.monitoring.svc:9090',
  namespace: 'monitoring',
  pods: { 'app.kubernetes.io/name': 'prometheus' },
  labels: { release: 'kube-prometheus-stack' },
};
const NAMESPACES = 'namespace=~"mlops-platform|mlops-steps|mlops-nodes"';
const pipelines = [{ model: '', definition: definePipeline({ ...TRIP, retraining: { onError: 9 } }) }];

const base = mkdtempSync(join(tmpdir(), 'existing-'));
const environment = existing({}, { accelerator: Accelerator.nvidia() });
const objects = rendered(environment);
afterAll(() => rmSync(base, { recursive: true }));

describe('beside somebody else’s Prometheus', () => {
  test('there is nothing of ours that watches', () => {
    const kinds = new Set(objects.map(({ kind }) => kind));
    for (const kind of ['Prometheus', 'Alertmanager', 'CustomResourceDefinition'])
      expect(kinds).not.toContain(kind);
    const watchers =
      /^(prometheus|prometheus-operator|alertmanager|grafana|kube-state-metrics|node-exporter)$/;
    expect(objects.filter(({ metadata }) => watchers.test(metadata.name)).map(title)).toEqual([]);
  });

  test('the folder has no definitions, and the chart neither', () => {
    synthesize({ environments: { laptop: existing() }, pipelines, outdir: join(base, 'dist') });
    expect(Object.keys(filesOf(join(base, 'dist/laptop')))).toEqual([
      '10-foundation.yaml',
      '20-workflow.yaml',
      '30-training.yaml',
      '40-serving.yaml',
      '50-monitoring.yaml',
      '60-pipeline-trip.yaml',
    ]);
    const kinds = customResources(appliedObjects(join(base, 'dist/laptop'))).map(({ kind }) => kind);
    expect([...new Set(kinds)].sort()).toEqual(['PrometheusRule', 'ServiceMonitor']);

    const outdir = join(base, 'chart');
    writeChart({ name: 'laptop', environment: existing(), pipelines, version: '1.0.0', outdir });
    expect(existsSync(join(outdir, 'crds'))).toBe(false);
    expect(filesOf(outdir)['templates/NOTES.txt']).not.toContain('definitions');
  });

  test('every monitor and every rule carries the labels that its selectors want, and those that say whose it is', () => {
    const selected = customResources(objects);
    expect(selected.length).toBeGreaterThan(12);
    for (const { metadata } of selected) {
      expect(metadata.labels).toMatchObject({
        release: 'kube-prometheus-stack',
        'app.kubernetes.io/managed-by': 'mlops-lifecycle',
      });
    }
  });

  test('no label is written where its selectors take everything', () => {
    const [rule] = rendered(existing({ labels: {} })).filter(({ kind }) => kind === 'PrometheusRule');
    expect(Object.keys(rule!.metadata.labels!)).toEqual([
      'app.kubernetes.io/managed-by',
      'app.kubernetes.io/part-of',
    ]);
  });

  test('what speaks of nodes, Prometheus, Grafana and exporters of others is left out', () => {
    const systems = objects
      .filter(({ kind }) => kind === 'PrometheusRule')
      .map(({ metadata }) => metadata.name);
    expect(systems.sort()).toEqual([
      'airflow',
      'gpus',
      'kubernetes',
      'minio',
      'mlflow',
      'model-trip',
      'postgres',
      'triton',
    ]);
    const alerts = rules().flatMap(({ alert }) => alert ?? []);
    expect(alerts.filter((name) => /^(Prometheus|Alertmanager|Grafana|Node|KubeState)/.test(name))).toEqual(
      [],
    );
    expect(alerts).toEqual(expect.arrayContaining(['ModelDrift', 'ModelError', 'PodCrashLooping', 'GpuHot']));
    expect(
      dashboards()
        .map(({ metadata }) => metadata.name)
        .sort(),
    ).toEqual(
      ['airflow', 'gpus', 'kubernetes', 'minio', 'mlflow', 'models', 'overview', 'postgres', 'triton'].map(
        (name) => `dashboard-mlops-${name}`,
      ),
    );
  });

  test.each(rules().map((rule) => [rule.alert ?? rule.record!, rule.expr] as const))(
    'the rule %s sees the platform’s namespaces alone',
    (_, expr) => expect(unrestricted(expr)).toEqual([]),
  );

  test.each(dashboards().map((dashboard) => [dashboard.metadata.name, dashboard] as const))(
    '%s sees the platform’s namespaces alone, and the data source of its name',
    (_, { data }) => {
      const [json] = Object.values(data as Record<string, string>);
      const { panels, templating } = JSON.parse(json!) as {
        panels: { targets?: { expr: string; datasource: { uid: string } }[] }[];
        templating: { list?: { definition: string }[] };
      };
      const targets = panels.flatMap((panel) => panel.targets ?? []);
      expect(targets.length).toBeGreaterThan(3);
      for (const { expr, datasource } of targets) {
        expect(unrestricted(expr)).toEqual([]);
        expect(datasource.uid).toBe('prometheus');
      }
      for (const { definition } of templating.list ?? [])
        expect(definition).toMatch(/^label_values\(\w+\{namespace=~"mlops-[^"]*"\}, \w+\)$/);
    },
  );

  test('a record says whose it is, and so does an alert whose series do not', () => {
    for (const { alert, labels } of rules()) {
      expect(labels!.namespace).toBe(
        alert === undefined ? 'mlops-platform' : '{{ or $labels.namespace "mlops-platform" }}',
      );
    }
    const drift = rules().find(({ alert }) => alert === 'ModelDrift')!;
    expect(drift.labels).toMatchObject({ severity: 'warning', system: 'model-trip' });
  });

  test('our own Prometheus is asked as before', () => {
    const own = rendered(defineEnvironment({}));
    const asked = [
      ...rules(own).map(({ expr }) => expr),
      ...dashboards(own).map(({ data }) => JSON.stringify(data)),
    ];
    expect(asked.length).toBeGreaterThan(50);
    expect(asked.filter((text) => text.includes('namespace=~'))).toEqual([]);
    expect(rules(own).filter(({ labels }) => labels?.namespace !== undefined)).toEqual([]);
  });
});

describe('dashboards', () => {
  test('are ConfigMaps as Grafana’s chart looks for them', () => {
    for (const { metadata } of dashboards()) {
      expect(metadata.namespace).toBe('mlops-platform');
      expect(metadata.labels).toMatchObject({ grafana_dashboard: '1' });
      expect(metadata).not.toHaveProperty('annotations');
    }
  });

  test('lie where they are wanted, labelled, sorted and asking as they are told', () => {
    const found = dashboards(
      rendered(
        existing({
          dashboards: {
            namespace: 'grafana',
            labels: { 'dashboards.example.com/take': 'yes' },
            annotations: { grafana_folder: 'MLOps, all of it' },
            dataSource: 'thanos',
          },
        }),
      ),
    );
    expect(found.length).toBeGreaterThan(7);
    for (const { metadata, data } of found) {
      expect(metadata).toMatchObject({
        namespace: 'grafana',
        labels: { 'dashboards.example.com/take': 'yes' },
        annotations: { grafana_folder: 'MLOps, all of it' },
      });
      expect(metadata.labels).not.toHaveProperty('grafana_dashboard');
      expect(JSON.stringify(data)).toContain('\\"uid\\": \\"thanos\\"');
      expect(JSON.stringify(data)).not.toContain('\\"uid\\": \\"prometheus\\"');
    }
  });

  test('are the same but for what their queries see', () => {
    const dashboard = {
      uid: 'mlops-a',
      title: 'A',
      description: 'A.',
      variables: [{ name: 'model', label: 'Model', metric: 'm', of: 'model' }],
      rows: [
        { title: 'R', signals: [{ name: 'N', description: 'D.', unit: 'short', expr: 'sum(m)' }] as const },
      ],
    };
    expect(dashboardJson(platformDashboard(dashboard, { matcher: NAMESPACES }))).toBe(
      dashboardJson(dashboard)
        .replace('"sum(m)"', JSON.stringify(`sum(m{${NAMESPACES}})`))
        .replaceAll('label_values(m,', JSON.stringify(`label_values(m{${NAMESPACES}},`).slice(1, -1)),
    );
  });
});

describe('NetworkPolicies', () => {
  const PROMETHEUS = {
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } },
    podSelector: { matchLabels: { 'app.kubernetes.io/name': 'prometheus' } },
  };

  test('let it scrape every target, and nothing else', () => {
    const open = objects
      .filter(({ kind }) => kind === 'NetworkPolicy')
      .flatMap(({ metadata, spec }) =>
        ((spec.ingress ?? []) as { from?: object[]; ports: { port: number }[] }[])
          .filter(({ from }) => JSON.stringify(from).includes('"monitoring"'))
          .map(({ from, ports }) => ({ name: metadata.name, from, ports: ports.map(({ port }) => port) })),
      );
    expect(Object.fromEntries(open.map(({ name, ports }) => [name, ports]))).toEqual({
      'airflow-statsd': [9102],
      'dcgm-exporter': [9400],
      minio: [9000],
      mlflow: [5000],
      'postgres-exporter': [9187],
      triton: [8002, 9101],
    });
    for (const { from } of open) expect(from).toEqual([PROMETHEUS]);
  });

  test('let every pod of its namespace scrape where its labels are not said', () => {
    const all = rendered(existing({ pods: undefined }));
    const { spec } = find(all, 'NetworkPolicy', 'mlflow');
    expect(JSON.stringify(spec.ingress)).toContain(
      JSON.stringify({ from: [{ namespaceSelector: PROMETHEUS.namespaceSelector }] }).slice(1, -1),
    );
  });

  test('let Airflow reach its address in the cluster, by the port of its pods', () => {
    const edge = (port: number) => ({
      to: [{ namespaceSelector: PROMETHEUS.namespaceSelector }],
      ports: [{ port, protocol: 'TCP' }],
    });
    expect(egress(objects)).toContainEqual(edge(9090));
    const behind = { address: 'http://thanos.monitoring.svc.cluster.local/api/', port: 10902 };
    expect(egress(rendered(existing(behind)))).toContainEqual(edge(10902));
  });

  test('let Airflow reach an address outside of the cluster', () => {
    for (const [address, port] of [
      ['https://prometheus.example.com/prometheus', 443],
      ['http://10.0.0.7:9091', 9091],
    ] as const) {
      expect(egress(rendered(existing({ address })))).toContainEqual({
        to: [{ ipBlock: { cidr: '0.0.0.0/0' } }],
        ports: expect.arrayContaining([{ port, protocol: 'TCP' }]),
      });
    }
  });
});

test('only what lies in a namespace of others is not looked for among our own objects', () => {
  const namespaces = (change: Partial<Existing>) =>
    Monitoring.existing({ ...STACK, ...change }).otherNamespaces;
  expect(new Set(namespaces({}))).toEqual(new Set(['monitoring']));
  expect(namespaces({ address: 'https://prometheus.example.com' })).toEqual(['monitoring']);
  const apart = { address: 'http://query.thanos.svc:10902', dashboards: { namespace: 'grafana' } };
  expect(namespaces(apart)).toEqual(['monitoring', 'thanos', 'grafana']);
  expect(Monitoring.own().otherNamespaces).toEqual([]);
});

describe('Airflow', () => {
  test('asks at its address, for alerts of the platform', () => {
    const env = environmentOf(rendered(existing({ address: 'https://prometheus.example.com/prometheus/' })));
    expect(env).toMatchObject({
      PROMETHEUS_URL: 'https://prometheus.example.com/prometheus',
      PROMETHEUS_MATCHER: NAMESPACES,
    });
  });

  test('sends StatsD to an exporter that every Prometheus can scrape', () => {
    const env = environmentOf(objects);
    expect(env).toMatchObject({
      AIRFLOW__METRICS__STATSD_ON: 'True',
      AIRFLOW__METRICS__STATSD_HOST: 'airflow-statsd.mlops-platform.svc',
      AIRFLOW__METRICS__STATSD_PORT: '9125',
    });
    expect(Object.keys(env).filter((name) => /OTEL|OTLP/.test(name))).toEqual([]);
    expect(find(objects, 'Service', 'airflow-statsd').spec.ports).toEqual([
      { name: 'metrics', port: 9102, targetPort: 'metrics' },
      { name: 'statsd', port: 9125, protocol: 'UDP', targetPort: 'statsd' },
    ]);
    const [container] = find(objects, 'Deployment', 'airflow-statsd').spec.template.spec.containers;
    expect(container.ports).toContainEqual({ name: 'statsd', containerPort: 9125, protocol: 'UDP' });
    for (const component of ['api-server', 'scheduler', 'dag-processor', 'triggerer']) {
      const { spec } = find(objects, 'NetworkPolicy', `airflow-${component}`);
      expect(JSON.stringify(spec.egress)).toContain('{"port":9125,"protocol":"UDP"}');
    }
    expect(find(objects, 'ServiceMonitor', 'airflow-statsd').spec.endpoints[0].port).toBe('metrics');
  });

  test('is asked for durations as summaries, for native histograms are a setting of Prometheus', () => {
    const metrics = rules().flatMap(({ expr }) => metricNames(expr));
    expect(metrics).toContain('airflow_dagrun_duration_failed_seconds_count');
    expect(JSON.stringify(objects)).not.toMatch(/histogram_(count|avg)|airflow_\w+_milliseconds/);
  });
});

test('a GPU’s namespace is its exporter’s, so that others’ GPUs are told apart', () => {
  const [endpoint] = find(objects, 'PodMonitor', 'dcgm-exporter').spec.podMetricsEndpoints;
  expect(endpoint.honorLabels).toBe(false);
});

test('an external database and object store leave no panel without a metric', () => {
  const secret = SecretRef.external('s', ['database', 'username', 'password', 'access-key', 'secret-key']);
  const clients = { airflow: secret, mlflow: secret, steps: secret, triton: secret };
  const all = rendered(
    existing(
      {},
      {
        database: Database.external({ host: 'db.example.com', credentials: clients }),
        objectStore: ObjectStore.external({ endpoint: 'https://s3.example.com', credentials: clients }),
      },
    ),
  );
  expect(dashboards(all).map(({ metadata }) => metadata.name)).not.toContain('dashboard-mlops-minio');
});

describe('Monitoring.existing refuses', () => {
  test.each<[string, unknown, string, string]>([
    ['no address', { address: undefined }, 'address: is required', 'nothing'],
    [
      'an address without a scheme',
      { address: 'prometheus:9090' },
      'address: must be an http',
      '"prometheus:9090"',
    ],
    [
      'a login in the address',
      { address: 'http://a:b@prometheus' },
      'without a login',
      '"http://a:b@prometheus"',
    ],
    [
      'a query',
      { address: 'http://prometheus/?a=b' },
      'address: must be an http',
      '"http://prometheus/?a=b"',
    ],
    [
      'a port beyond',
      { address: 'http://prometheus:99999' },
      'address: must be an http',
      '"http://prometheus:99999"',
    ],
    ['no namespace', { namespace: undefined }, 'namespace: is required', 'nothing'],
    [
      'a namespace of ours',
      { namespace: 'mlops-platform' },
      "namespace: must be where that Prometheus runs, not one of the platform's own",
      '"mlops-platform"',
    ],
    [
      'an address in a namespace of ours',
      { address: 'http://prometheus.mlops-platform.svc:9090' },
      "address: must lead to that Prometheus, not one of the platform's own",
      '"http://prometheus.mlops-platform.svc:9090"',
    ],
    ['no labels', { labels: undefined }, 'labels: is required', 'nothing'],
    [
      'a label that is no name',
      { labels: { 'a b': 'c' } },
      "labels.a b: is no name: it must be a label's name",
      '"a b"',
    ],
    [
      'a value that is none',
      { labels: { release: 'a b' } },
      'labels.release: must be at most 63 letters',
      '"a b"',
    ],
    ['a number', { pods: { release: 1 } }, 'pods.release: must be a string', '1'],
    [
      'the label that says whose an object is',
      { labels: { 'app.kubernetes.io/managed-by': 'Helm' } },
      'labels: must leave out app.kubernetes.io/managed-by and app.kubernetes.io/part-of',
      '{"app.kubernetes.io/managed-by":"Helm"}',
    ],
    [
      'a pods’ port of an address outside',
      { address: 'https://prometheus.example.com', port: 9090 },
      'port: is for an address in the cluster; outside of it, the port stands in the address',
      '9090',
    ],
    [
      'dashboards that nothing finds',
      { dashboards: { labels: {} } },
      'dashboards.labels: must not be empty',
      '{}',
    ],
    [
      'the label that says whose a dashboard is',
      { dashboards: { labels: { 'app.kubernetes.io/part-of': 'x' } } },
      'dashboards.labels: must leave out',
      '{"app.kubernetes.io/part-of":"x"}',
    ],
    [
      'a data source by its title',
      { dashboards: { dataSource: 'My Prometheus' } },
      'dashboards.dataSource: must be the uid of a data source, not its name',
      '"My Prometheus"',
    ],
    [
      'a key that is none',
      { url: 'x' },
      "has the unknown key 'url'; its keys are address, port",
      '{"url":"x"}',
    ],
  ])('%s', (_, change, problem, received) => {
    const define = () => Monitoring.existing({ ...STACK, ...(change as object) });
    expect(define).toThrow(/^Monitoring\.existing cannot be synthesized:/);
    expect(define).toThrow(problem);
    expect(define).toThrow(`got ${received}`);
  });

  test.each(['Monitoring', ObjectStore.inCluster()])('an environment that is given %j for it', (wrong) => {
    expect(() => defineEnvironment({ monitoring: wrong as never })).toThrow(
      'monitoring: must be Monitoring.own(…) or Monitoring.existing(…), got',
    );
  });

  test('nothing at all is the own one', () => {
    expect(defineEnvironment({}).monitoring.bringsDefinitions).toBe(true);
    expect(() => Monitoring.own({ retention: '2w' as never })).toThrow('retention: must be a length of time');
    expect(() => Monitoring.own({ storage: '10GB' as never })).toThrow('storage: must be a positive amount');
  });
});

describe('one more matcher', () => {
  test.each([
    ['up', 'up{a="b"}'],
    ['up{}', 'up{a="b"}'],
    ['up{job="x"}', 'up{job="x", a="b"}'],
    ['{__name__="up"}', '{__name__="up", a="b"}'],
    [
      'sum by (c) (rate(m[5m])) / on (c) m offset 1h',
      'sum by (c) (rate(m{a="b"}[5m])) / on (c) m{a="b"} offset 1h',
    ],
    ['rate(m{x=~"$x"}[$__rate_interval])', 'rate(m{x=~"$x", a="b"}[$__rate_interval])'],
    ['vector(0)', 'vector(0)'],
    ['label_replace(m, "x", "$1", "y", "{}")', 'label_replace(m{a="b"}, "x", "$1", "y", "{}")'],
  ])('makes %s into %s', (expr, expected) => expect(withMatcher(expr, 'a="b"')).toBe(expected));

  test('is not put into what is no PromQL', () =>
    expect(() => withMatcher('sum(', 'a="b"')).toThrow("'sum(' is no PromQL"));
});

function existing(change: Partial<Existing> = {}, props: EnvironmentProps = {}) {
  return defineEnvironment({ ...props, monitoring: Monitoring.existing({ ...STACK, ...change }) });
}

function rendered(of: ReturnType<typeof defineEnvironment>): Manifest[] {
  return [...render('test', of, pipelines).values()].flat();
}

interface Rule {
  readonly alert?: string;
  readonly record?: string;
  readonly expr: string;
  readonly labels?: Record<string, string>;
}

function rules(of = objects): Rule[] {
  return of
    .filter(({ kind }) => kind === 'PrometheusRule')
    .flatMap(({ spec }) => (spec.groups as { rules: Rule[] }[]).flatMap((group) => group.rules));
}

function dashboards(of = objects): Manifest[] {
  return of.filter(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name.startsWith('dashboard-'));
}

/** The selectors of an expression that are not held to the platform's namespaces; Grafana's intervals filled in. */
function unrestricted(expr: string): string[] {
  const filled = expr.replaceAll('$__rate_interval', '5m');
  const found: string[] = [];
  let selectors = 0;
  parser.parse(filled).iterate({
    enter: ({ name, type, from, to }) => {
      expect(type.isError).toBe(false);
      if (name !== 'VectorSelector') return;
      selectors += 1;
      const selector = filled.slice(from, to);
      if (!selector.endsWith(`${NAMESPACES}}`)) found.push(selector);
    },
  });
  expect(selectors).toBeGreaterThan(0);
  return found;
}

function find(of: readonly Manifest[], kind: string, name: string): Manifest {
  return of.find((object) => object.kind === kind && object.metadata.name === name)!;
}

function egress(of: readonly Manifest[]): object[] {
  return find(of, 'NetworkPolicy', 'airflow-scheduler').spec.egress as object[];
}

function environmentOf(of: readonly Manifest[]): Record<string, string> {
  const [container] = find(of, 'Deployment', 'airflow-scheduler').spec.template.spec.containers as {
    env: { name: string; value?: string }[];
  }[];
  return Object.fromEntries(container!.env.map(({ name, value }) => [name, value ?? '']));
}
