import { RETRAINING_ALERTS } from '../../../lib/definitions/names';
import { appliedObjects, customResources } from '../../../scripts/cli/platform/manifests';
import { report } from '../support/cluster';
import {
  activeTargets,
  dashboards,
  evaluatedRules,
  loadedRules,
  panelQueries,
  poolsThatAreUp,
  type Rule,
  ruleNames,
  scrapePools,
  type Target,
} from '../support/monitoring';
import { cluster, LAPTOP, PLATFORM, WITHOUT_IMAGE } from '../support/platform';
import { prometheus, query, until } from '../support/prometheus';

const custom = customResources(appliedObjects(LAPTOP));

/** The monitors of workloads that cannot run here. */
const WITHOUT_TARGET = WITHOUT_IMAGE.map((workload) => workload.split('/')[1]);

test('every ServiceMonitor and PodMonitor has its target, and it is up', () => {
  const wanted = scrapePools(
    custom.filter(
      ({ kind, metadata }) => kind.endsWith('Monitor') && !WITHOUT_TARGET.includes(metadata.name),
    ),
  );
  const up = poolsThatAreUp(wanted);
  expect(wanted.filter((pool) => !up.includes(pool))).toEqual([]);
});

test('every rule is loaded and evaluates', () => {
  const wanted = ruleNames(custom);
  const rules = evaluatedRules(wanted.length);
  expect(rules.map(({ name }) => name).sort()).toEqual(wanted);
  expect(rules.filter(({ health }) => health !== 'ok')).toEqual([]);
});

test('every panel of every dashboard is a query that this Prometheus answers', () => {
  const answers = panelQueries(dashboards(appliedObjects(LAPTOP))).map(({ where, expr }) => ({
    where,
    result: query(expr),
  }));
  const empty = answers.filter(({ result }) => result.length === 0);
  report(
    `${answers.length} panels asked; ${empty.length} have nothing to show yet: ${empty.map(({ where }) => where).join('; ')}`,
  );
  expect(answers.length).toBeGreaterThan(100);
});

test('Airflow’s metrics arrive without an exporter', () => {
  const names = until(
    () => prometheus<string[]>('label/__name__/values').filter((name) => name.startsWith('airflow_')),
    (found) => found.includes('airflow_scheduler_heartbeat_total'),
    300,
  );
  report(`${names.length} metrics of Airflow: ${names.join(', ')}`);
  expect(names).toContain('airflow_scheduler_heartbeat_total');
});

test('Prometheus sends its alerts to Alertmanager', () => {
  const { activeAlertmanagers } = prometheus<{ activeAlertmanagers: unknown[] }>('alertmanagers');
  expect(activeAlertmanagers).toHaveLength(1);
});

describe('namespaces of somebody else', () => {
  const LABEL = 'mlops-lifecycle/monitored';

  beforeAll(() => {
    const objects = [...inNamespace('orders', { [LABEL]: 'true' }), ...inNamespace('returns', {})];
    const list = { apiVersion: 'v1', kind: 'List', items: objects };
    const { status, output } = cluster.try(['apply', '--filename', '-'], JSON.stringify(list));
    if (status !== 0) throw new Error(output);
  });
  afterAll(() => cluster.kubectl('delete', 'namespace', 'orders', 'returns', '--wait=false'));

  test('with the label, monitors and rules are taken; without it, none', () => {
    const began = Date.now();
    const { targets, rules } = until(
      () => seen('orders'),
      (found) =>
        found.targets.length === 2 &&
        found.targets.every(({ health }) => health === 'up') &&
        found.rules.length === 2 &&
        found.rules.every(({ health }) => health === 'ok') &&
        query('orders:targets').length > 0 &&
        query('ALERTS{model="orders"}').length > 0,
      180,
    );
    report(`scraped and loaded ${Math.round((Date.now() - began) / 1000)} s after the apply`);
    expect(
      targets.map(({ scrapePool, health, lastError }) => [scrapePool, health, lastError]).sort(),
    ).toEqual([
      ['podMonitor/orders/orders/0', 'up', ''],
      ['serviceMonitor/orders/orders/0', 'up', ''],
    ]);
    expect(rules.map(({ name, health }) => [name, health])).toEqual([
      ['orders:targets', 'ok'],
      [ALERT, 'ok'],
    ]);
    expect(seen('returns')).toEqual({ targets: [], rules: [] });
  });

  test('what they call their own says where it is from, whatever they say, and ours do not look at it', () => {
    expect(query('pg_up{job="postgres", monitored_namespace="orders"}')).not.toEqual([]);
    expect(query('pg_up{job="postgres", monitored_namespace=""}').map(({ value }) => value[1])).toEqual([
      '1',
    ]);
    expect(query(ruleOf('PostgresDown'))).toEqual([]);
    const [count] = query('orders:targets');
    expect(count?.metric.monitored_namespace).toBe('orders');
    // Its rule counts what it may see: two targets of its own.
    expect(count?.value[1]).toBe('2');
    // The alert has a name that starts a retraining. The watch asks for ours.
    expect(query(`ALERTS{alertname="${ALERT}", model="orders"}`).map(({ metric }) => metric)).toMatchObject([
      { alertstate: 'firing', monitored_namespace: 'orders' },
    ]);
    expect(query(`ALERTS{alertname="${ALERT}", model="orders", monitored_namespace=""}`)).toEqual([]);
  });

  test('a monitor finds nothing outside of its own namespace', () => {
    for (const { labels } of seen('orders').targets) expect(labels.namespace).toBe('orders');
  });

  test.each([
    ['reads-a-file', 'accesses file system via bearer token file which Prometheus'],
    ['reads-a-secret', 'secrets "not-granted" is forbidden'],
  ])('a monitor that %s is refused, and an event says so', (name, said) => {
    const { items } = until(
      () =>
        cluster.get<{ items: { message: string }[] }>(
          'events',
          '--namespace=orders',
          `--field-selector=involvedObject.name=${name}`,
        ),
      (found) => found.items.length > 0,
      30,
    );
    expect(items[0]?.message).toContain(said);
  });

  test('the operator reads a Secret that it was granted, no other, and makes nothing there', () => {
    expect(may('list', 'secrets', 'mlops-platform')).toBe('yes');
    expect(may('list', 'servicemonitors.monitoring.coreos.com', 'orders')).toBe('yes');
    expect(may('get', 'secrets/login', 'orders')).toBe('yes');
    for (const verb of ['get', 'list']) expect(may(verb, 'secrets', 'orders')).toMatch(/^no/);
    for (const resource of ['secrets', 'statefulsets.apps', 'services'])
      expect(may('create', resource, 'orders')).toMatch(/^no/);
  });

  test('once the label is gone, so are their targets and rules', () => {
    cluster.kubectl('label', 'namespace', 'orders', `${LABEL}-`);
    const gone = until(
      () => seen('orders'),
      ({ targets, rules }) => targets.length + rules.length === 0,
      180,
    );
    expect(gone).toEqual({ targets: [], rules: [] });
  });
});

/** One of the alerts that start a retraining of the pipeline that it names. */
const ALERT = RETRAINING_ALERTS.drift;

/** What Prometheus has of a namespace. */
function seen(namespace: string): { targets: Target[]; rules: Rule[] } {
  // The kubelet brings a changed configuration at once to a pod that has changed itself; within a minute otherwise.
  cluster.kubectl(
    'annotate',
    PLATFORM,
    'pod/prometheus-prometheus-0',
    `mlops-lifecycle/config=${Date.now()}`,
    '--overwrite',
  );
  return {
    targets: activeTargets().filter(({ scrapePool }) => scrapePool.split('/')[1] === namespace),
    rules: loadedRules(undefined, (file) => file.split('/').at(-1)!.startsWith(`${namespace}-`)),
  };
}

/** The expression of one of our alerts. */
function ruleOf(name: string): string {
  const rule = loadedRules().find((each) => each.name === name);
  return rule!.query;
}

/** Whether the operator may do something: yes, or no and perhaps why. */
function may(verb: string, resource: string, namespace: string): string {
  const account = 'system:serviceaccount:mlops-platform:prometheus-operator';
  const question = ['auth', 'can-i', verb, resource, `--namespace=${namespace}`, `--as=${account}`];
  return cluster.try(question).output.trim();
}

/** A namespace with a program that claims to be a Postgres that is down, its monitors and rules. */
function inNamespace(namespace: string, labels: Record<string, string>): object[] {
  const metadata = { name: 'orders', namespace, labels: { app: 'orders' } };
  const monitoring = 'monitoring.coreos.com/v1';
  const endpoint = {
    port: 'http',
    path: '/metrics.txt',
    interval: '5s',
    honorLabels: true,
    relabelings: [{ targetLabel: 'job', replacement: 'postgres' }],
  };
  const spec = { selector: { matchLabels: { app: 'orders' } }, namespaceSelector: { any: true } };
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels } },
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata,
      data: { 'metrics.txt': 'pg_up{monitored_namespace="",namespace="mlops-platform"} 0\n' },
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata,
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            name: 'server',
            image: 'docker.io/library/busybox:1.36.1',
            command: ['httpd', '-f', '-p', '8080', '-h', '/pages'],
            ports: [{ name: 'http', containerPort: 8080 }],
            volumeMounts: [{ name: 'pages', mountPath: '/pages' }],
          },
        ],
        volumes: [{ name: 'pages', configMap: { name: 'orders' } }],
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: { selector: { app: 'orders' }, ports: [{ name: 'http', port: 8080 }] },
    },
    ...mayReadSecret(namespace, 'login'),
    { apiVersion: monitoring, kind: 'ServiceMonitor', metadata, spec: { ...spec, endpoints: [endpoint] } },
    {
      apiVersion: monitoring,
      kind: 'PodMonitor',
      metadata,
      spec: { ...spec, podMetricsEndpoints: [{ ...endpoint, basicAuth: basicAuth('login') }] },
    },
    {
      apiVersion: monitoring,
      kind: 'ServiceMonitor',
      metadata: { ...metadata, name: 'reads-a-secret' },
      spec: { ...spec, endpoints: [{ ...endpoint, basicAuth: basicAuth('not-granted') }] },
    },
    {
      apiVersion: monitoring,
      kind: 'ServiceMonitor',
      metadata: { ...metadata, name: 'reads-a-file' },
      spec: {
        ...spec,
        endpoints: [{ ...endpoint, bearerTokenFile: '/var/run/secrets/kubernetes.io/serviceaccount/token' }],
      },
    },
    {
      apiVersion: monitoring,
      kind: 'PrometheusRule',
      metadata,
      spec: {
        groups: [
          {
            name: 'postgres',
            interval: '5s',
            rules: [
              { record: 'orders:targets', expr: 'count(up)', labels: { monitored_namespace: '' } },
              { alert: ALERT, expr: 'vector(1)', labels: { model: 'orders', version: '1' } },
            ],
          },
        ],
      },
    },
  ];
}

function basicAuth(secret: string) {
  return { username: { name: secret, key: 'username' }, password: { name: secret, key: 'password' } };
}

/** Two Secrets, and what docs/faq.md says of letting the operator read one of them. */
function mayReadSecret(namespace: string, name: string): object[] {
  const rbac = 'rbac.authorization.k8s.io';
  const metadata = { name: 'prometheus-operator', namespace };
  return [
    ...[name, 'not-granted'].map((secret) => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: secret, namespace },
      stringData: { username: 'prometheus', password: 'prometheus' },
    })),
    {
      apiVersion: `${rbac}/v1`,
      kind: 'Role',
      metadata,
      rules: [{ apiGroups: [''], resources: ['secrets'], resourceNames: [name], verbs: ['get'] }],
    },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: rbac, kind: 'Role', name: metadata.name },
      subjects: [{ kind: 'ServiceAccount', name: 'prometheus-operator', namespace: 'mlops-platform' }],
    },
  ];
}
