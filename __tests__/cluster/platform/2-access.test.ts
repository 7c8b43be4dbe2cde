import { OBJECT_STORE } from '../../support/object-store';
import { cluster, secret, serviceUrl } from '../support/platform';
import { report } from '../support/cluster';
import { until } from '../support/prometheus';

const { port, login, credentials, accepted, refused } = OBJECT_STORE.page;

/** The pages with a login: how to log in, and the status for the right and for a wrong password. */
const LOGINS = [
  {
    page: 'Airflow',
    ask: (password: string) =>
      post(serviceUrl('airflow-api-server', 8080) + '/auth/token', { username: 'admin', password }),
    password: () => secret('airflow', 'admin-password'),
    accepted: 201,
    refused: 401,
  },
  {
    page: 'MLflow',
    ask: (password: string) =>
      get(
        `${serviceUrl('mlflow', 5000)}/api/2.0/mlflow/experiments/search?max_results=1`,
        '--user',
        `admin:${password}`,
        '--header',
        'Host: mlflow.mlops.localhost',
      ),
    password: () => secret('mlflow-login', 'password'),
    accepted: 200,
    refused: 401,
  },
  {
    page: 'The object store’s page',
    ask: (password: string) => post(serviceUrl(OBJECT_STORE.name, port) + login, credentials(password)),
    password: () => secret(...OBJECT_STORE.page.password),
    accepted,
    refused,
  },
];

test.each(LOGINS)(
  '$page takes the generated password and no other',
  ({ ask, password, accepted, refused }) => {
    expect(ask(password())).toBe(accepted);
    expect(ask('wrong')).toBe(refused);
  },
);

test.each([
  ['Airflow', () => get(`${serviceUrl('airflow-api-server', 8080)}/api/v2/dags`), 401],
  [
    'MLflow',
    () =>
      get(
        `${serviceUrl('mlflow', 5000)}/api/2.0/mlflow/experiments/search?max_results=1`,
        '--header',
        'Host: mlflow.mlops.localhost',
      ),
    401,
  ],
  [
    'MLflow’s metrics',
    () => get(`${serviceUrl('mlflow', 5000)}/metrics`, '--header', 'Host: mlflow.mlops.localhost'),
    401,
  ],
  [
    'MLflow under a host it was not told of',
    () => get(`${serviceUrl('mlflow', 5000)}/`, '--header', 'Host: evil.example.com'),
    403,
  ],
  ['The object store', () => get(`${serviceUrl(OBJECT_STORE.name, OBJECT_STORE.port)}/mlflow/`), 403],
  ['Triton’s model control', () => post(`${serviceUrl('triton', 8000)}/v2/repository/index`, {}), 403],
])('%s refuses a client without a login', (_, ask, status) => {
  expect(ask()).toBe(status);
});

test('Triton’s model control opens with its key', () => {
  const key = secret('triton-admin', 'key');
  expect(post(`${serviceUrl('triton', 8000)}/v2/repository/index`, {}, '--header', `admin-key: ${key}`)).toBe(
    200,
  );
});

describe('a pod of the steps that is no step', () => {
  const stranger = ['--namespace=mlops-steps', 'pod/stranger'];

  beforeAll(() => start('mlops-steps'));
  afterAll(() => cluster.kubectl('delete', ...stranger, '--now'));

  test.each([
    ['postgres', 5432],
    ['airflow-api-server', 8080],
    ['prometheus', 9090],
    ['alertmanager', 9093],
    ['grafana', 3000],
    ['kube-state-metrics', 8080],
    ['triton', 8002],
    [OBJECT_STORE.name, OBJECT_STORE.page.port],
  ])('does not reach %s:%i', (service, port) => {
    expect(reaches('mlops-steps', service, port)).toBe(false);
  });

  test.each([
    ['mlflow', 5000],
    [OBJECT_STORE.name, OBJECT_STORE.port],
    ['triton', 8000],
  ])('reaches %s:%i, which steps use, and needs a login there', (service, port) => {
    expect(reaches('mlops-steps', service, port)).toBe(true);
  });
});

describe('a pod in a namespace of its own', () => {
  beforeAll(() => {
    cluster.kubectl('create', 'namespace', 'shop');
    start('shop');
  });
  afterAll(() => cluster.kubectl('delete', 'namespace', 'shop', '--wait=false'));

  test('reaches Triton once its namespace is labelled as a client of the models, and nothing else', () => {
    expect(reaches('shop', 'triton', 8000)).toBe(false);
    cluster.kubectl('label', 'namespace', 'shop', 'mlops-lifecycle/model-clients=true');
    const opened = until(
      () => reaches('shop', 'triton', 8000) && reaches('shop', 'triton', 8001),
      (open) => open,
      60,
    );
    expect(opened).toBe(true);
    expect(reaches('shop', 'triton', 8002)).toBe(false);
    expect(reaches('shop', 'mlflow', 5000)).toBe(false);
  });
});

/** Starts a pod `stranger`, which is no part of the platform, and waits until it is Ready. */
function start(namespace: string): void {
  const { status, output } = cluster.try(['apply', '--filename', '-'], JSON.stringify(strangerIn(namespace)));
  if (status !== 0) throw new Error(output);
  cluster.kubectl(
    'wait',
    `--namespace=${namespace}`,
    'pod/stranger',
    '--for=condition=Ready',
    '--timeout=2m',
  );
}

function reaches(from: string, service: string, port: number): boolean {
  const line = `timeout 5 nc -z ${service}.mlops-platform.svc ${port}`;
  const { status } = cluster.try(['exec', `--namespace=${from}`, 'pod/stranger', '--', 'sh', '-c', line]);
  report(`from ${from}, ${service}:${port} is ${status === 0 ? 'open' : 'closed'}`);
  return status === 0;
}

/** A pod with a shell, restricted as the namespace requires, without a token and without labels. */
const strangerIn = (namespace: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'stranger', namespace },
  spec: {
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 0,
    securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        name: 'shell',
        image: 'docker.io/library/busybox:1.36.1',
        command: ['sleep', '3600'],
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
      },
    ],
  },
});

/** The HTTP status of the answer. */
function get(url: string, ...options: string[]): number {
  const curl = [
    'curl',
    '--silent',
    '--max-time',
    '30',
    '--output',
    '/dev/null',
    '--write-out',
    '%{http_code}',
  ];
  return Number(cluster.enter(...curl, ...options, url));
}

function post(url: string, body: object, ...options: string[]): number {
  return get(url, '--header', 'Content-Type: application/json', '--data', JSON.stringify(body), ...options);
}
