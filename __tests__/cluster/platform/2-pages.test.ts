import { OBJECT_STORE } from '../../support/object-store';
import { Browser, type Page, portForward, type Way, waysTo } from '../support/browser';
import { cluster, secret } from '../support/platform';

/** Every page that runs here: Grafana's server does not. */
const AIRFLOW: Page = {
  service: 'airflow-api-server',
  port: 8080,
  host: 'airflow.mlops.localhost',
  local: 18080,
};
const MLFLOW: Page = { service: 'mlflow', port: 5000, host: 'mlflow.mlops.localhost', local: 15000 };
const STORE: Page = {
  service: OBJECT_STORE.name,
  port: OBJECT_STORE.page.port,
  host: `${OBJECT_STORE.name}.mlops.localhost`,
  local: 19001,
};
const PROMETHEUS: Page = { service: 'prometheus', port: 9090, local: 19090 };
const ALERTMANAGER: Page = { service: 'alertmanager', port: 9093, local: 19093 };

let ends: (() => void)[] = [];
beforeAll(() => {
  ends = [AIRFLOW, MLFLOW, STORE, PROMETHEUS, ALERTMANAGER].map(portForward);
});
afterAll(() => ends.forEach((end) => end()));

const DAGS = '/dags?tags=pipeline';
const LOGIN = `/api/v2/auth/login?next=${encodeURIComponent(DAGS)}`;

test.each(waysTo(AIRFLOW))(
  'Airflow, opened by $way, leads to its login, on to the wanted page, and out',
  (way) => {
    const browser = new Browser(way);
    expect(browser.get('/').status).toBe(200);
    expect(browser.get('/api/v2/dags').status).toBe(401);

    const form = browser.get(LOGIN);
    expect(form.url.href).toMatch(`${way.origin}/auth/login/?next=`);
    const refused = browser.submit(form, { username: 'admin', password: 'wrong' });
    expect(refused.url.href).toMatch(`${way.origin}/auth/login/?next=`);
    expect(browser.get('/api/v2/dags').status).toBe(401);

    const password = secret('airflow', 'admin-password');
    const page = browser.submit(refused, { username: 'admin', password });
    expect(page.status).toBe(200);
    expect(page.url.href).toBe(`${way.origin}${DAGS}`);
    expect(browser.secure('_token')).toBe(way.origin.startsWith('https:'));
    expect(browser.get('/api/v2/dags').status).toBe(200);

    expect(browser.get('/api/v2/auth/logout').url.href).toBe(`${way.origin}/auth/login/`);
    expect(browser.get('/api/v2/dags').status).toBe(401);
  },
);

test('Airflow’s login leads to no other site', () => {
  const browser = new Browser(waysTo(AIRFLOW)[0]!);
  expect(browser.get('/api/v2/auth/login?next=http%3A%2F%2Fevil.example%2F').status).toBe(400);
});

const SEARCH = '/ajax-api/2.0/mlflow/runs/search';
const RUNS = { experiment_ids: ['0'] };

test.each(waysTo(MLFLOW))(
  'MLflow, opened by $way, shows its page and answers the requests of the page',
  (way) => {
    const browser = new Browser(way);
    expect(browser.get('/').status).toBe(401);
    const login = mlflowLogin();
    const page = browser.get('/', ...login);
    expect(page.status).toBe(200);
    expect(page.body).toContain('<title>MLflow</title>');
    const [, script] = /src="([^"]+\.js)"/.exec(page.body) ?? [];
    expect(browser.get(script!, ...login).status).toBe(200);
    expect(browser.post(SEARCH, RUNS, ...login).status).toBe(200);
  },
);

test.each(['http://evil.example', 'http://mlflow.mlops.localhost.evil.example:8080', 'null'])(
  'MLflow neither obeys a page of %s nor shows it an answer',
  (origin) => {
    const browser = new Browser(waysTo(MLFLOW)[0]!);
    const foreign = ['--header', `Origin: ${origin}`, ...mlflowLogin()];
    const data = ['--header', 'Content-Type: application/json', '--data', JSON.stringify(RUNS)];
    expect(browser.get(SEARCH, ...foreign, ...data).status).toBe(403);
    const read = browser.get('/ajax-api/2.0/mlflow/experiments/search?max_results=1', ...foreign);
    expect(read.status).toBe(200);
    expect(read.header('access-control-allow-origin')).toBeUndefined();
  },
);

test.each(['mlflow.mlops-platform.svc.cluster.local', 'mlflow.mlops-platform.svc.cluster.local:5000'])(
  'MLflow answers programs that ask for %s',
  (host) => {
    const [ingress] = waysTo(MLFLOW);
    const program = new Browser({ ...ingress!, origin: `http://${host}`, headers: [] });
    const found = '/api/2.0/mlflow/experiments/search?max_results=1';
    expect(program.get(found, ...mlflowLogin()).status).toBe(200);
  },
);

test.each(waysTo(STORE))(
  'The object store’s page, opened by $way, takes the login and opens its socket',
  (way) => {
    const browser = new Browser(way);
    const { login, credentials, accepted, session, socket } = OBJECT_STORE.page;
    expect(browser.get('/').status).toBe(200);
    expect(browser.get(session).status).toBe(403);
    expect(browser.post(login, credentials(secret(...OBJECT_STORE.page.password))).status).toBe(accepted);
    expect(browser.get(session).status).toBe(200);
    expect(handshake(way, socket, way.origin)).toMatch(/^HTTP\/1\.1 101 /);
    expect(handshake(way, socket, 'http://evil.example')).toMatch(/^HTTP\/1\.1 403 /);
  },
);

test.each([...waysTo(PROMETHEUS), ...waysTo(ALERTMANAGER)])(
  'Prometheus and Alertmanager, opened by $way, stay there: $origin',
  (way) => {
    const browser = new Browser(way);
    // Their web pages are not built here, but where they lead to is the same.
    expect(browser.get('/').url.origin).toBe(way.origin);
    expect(browser.get('/-/ready').status).toBe(200);
  },
);

test('an alert’s link leads to Prometheus behind a port-forward', () => {
  const { body } = new Browser(waysTo(PROMETHEUS)[0]!).get('/api/v1/status/flags');
  expect(JSON.parse(body)).toMatchObject({ data: { 'web.external-url': 'http://localhost:9090' } });
});

function mlflowLogin(): string[] {
  return ['--user', `admin:${secret('mlflow-login', 'password')}`];
}

/** The first line of a server's answer to a browser that opens a web socket. */
function handshake({ server, origin: page }: Way, path: string, origin: string): string {
  const { hostname, port } = new URL(server());
  const request = [
    `GET ${path} HTTP/1.1`,
    `Host: ${new URL(page).host}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
    `Origin: ${origin}`,
  ].join('\\r\\n');
  const line = `exec 3<> /dev/tcp/${hostname}/${port}; printf '${request}\\r\\n\\r\\n' >&3; timeout 20 head -n 1 <&3`;
  return cluster.enter('bash', '-c', line);
}
