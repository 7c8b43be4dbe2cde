import { join } from 'node:path';
import { customResources, DIST } from '../../scripts/platform/manifests';
import { objectsOf } from '../support/dist';
import { Cluster, report, timed } from './support/cluster';

interface Pod {
  metadata: { name: string; labels: Record<string, string> };
  spec: { containers: { image: string }[] };
  status: {
    containerStatuses?: { restartCount: number; ready: boolean }[];
    initContainerStatuses?: { restartCount: number }[];
  };
}

const LAPTOP = join(DIST, 'laptop');
const PLATFORM = '--namespace=mlops-platform';

/** What runs as real pods here: the images that scripts/cluster assembles under the published names. */
const RUNNING = [
  'statefulset/postgres',
  'statefulset/minio',
  'deployment/mlflow',
  'deployment/custom-resources',
];
const JOBS = ['generate-secrets', 'postgres-provision', 'minio-provision'];

const wanted = customResources(objectsOf('laptop'))
  .map(({ kind, metadata }) => `${kind}/${metadata.name}`)
  .sort();

const cluster = new Cluster('platform', false);

beforeAll(() => report(`a node is up in ${timed(() => cluster.up()).seconds} s`));
afterAll(() => cluster.down());

test('one kubectl apply on a fresh cluster exits 0', () => {
  const { seconds, result } = timed(() => cluster.try(['apply', '--filename', LAPTOP]));
  report(`${result.lines.length} objects applied in ${seconds} s`);
  expect(result.output).not.toMatch(/error/i);
  expect(result.status).toBe(0);
});

test.each(JOBS)('the Job %s completes by itself', (name) => {
  const [job] = cluster
    .get<{ items: { metadata: { name: string } }[] }>('jobs', PLATFORM)
    .items.filter(({ metadata }) => metadata.name.startsWith(name));
  cluster.kubectl('wait', PLATFORM, `job/${job!.metadata.name}`, '--for=condition=Complete', '--timeout=10m');
});

test.each(RUNNING)('%s becomes Ready by its own probes', (workload) => {
  const { seconds } = timed(() => cluster.kubectl('rollout', 'status', PLATFORM, workload, '--timeout=10m'));
  report(`${workload} Ready after another ${seconds} s`);
});

test('none of them restarted: they waited for one another', () => {
  const pods = cluster
    .get<{ items: Pod[] }>('pods', PLATFORM)
    .items.filter(({ metadata }) => ran(metadata.labels));
  const restarts = pods.map(({ metadata, status }) => [
    metadata.name,
    [...(status.containerStatuses ?? []), ...(status.initContainerStatuses ?? [])].reduce(
      (n, s) => n + s.restartCount,
      0,
    ),
  ]);
  report(`pods that ran: ${pods.map(({ metadata }) => metadata.name).join(', ')}`);
  expect(restarts.filter(([, count]) => count !== 0)).toEqual([]);
  expect(pods.length).toBe(RUNNING.length + JOBS.length);
});

test('every generated secret is there, and no second run changes one', () => {
  const before = secrets();
  expect(before.length).toBeGreaterThan(10);
  const [job] = cluster
    .get<{ items: { metadata: { name: string } }[] }>('jobs', PLATFORM)
    .items.filter(({ metadata }) => metadata.name.startsWith('generate-secrets'));
  cluster.kubectl('delete', PLATFORM, `job/${job!.metadata.name}`);
  cluster.kubectl('apply', '--filename', LAPTOP);
  cluster.kubectl('wait', PLATFORM, `job/${job!.metadata.name}`, '--for=condition=Complete', '--timeout=5m');
  expect(secrets()).toEqual(before);
});

test('every custom resource arrives', () => {
  expect(there()).toEqual(wanted);
  report(`${wanted.length} custom resources arrived`);
});

test('a custom resource that no ConfigMap holds any more is deleted, and comes back with it', () => {
  const monitor = ['servicemonitor/triton', PLATFORM];
  const key = 'monitoring.coreos.com_v1_servicemonitors_mlops-platform_triton.yaml';
  const removal = JSON.stringify([{ op: 'remove', path: `/data/${key}` }]);
  cluster.kubectl(
    'patch',
    PLATFORM,
    'configmap/custom-resources-serving',
    '--type=json',
    `--patch=${removal}`,
  );
  cluster.kubectl('wait', ...monitor, '--for=delete', '--timeout=2m');
  expect(there()).toEqual(wanted.filter((title) => title !== 'ServiceMonitor/triton'));
  cluster.kubectl('apply', '--filename', LAPTOP);
  cluster.kubectl('wait', ...monitor, '--for=create', '--timeout=2m');
  expect(there()).toEqual(wanted);
});

test('a second apply says unchanged for every object, while everything runs', () => {
  const { lines, status } = cluster.try(['apply', '--filename', LAPTOP]);
  expect(status).toBe(0);
  expect(lines.filter((line) => !line.endsWith(' unchanged'))).toEqual([]);
});

test('each client of Postgres owns a database of its own and may not enter another one', () => {
  const list = psql(
    'postgres',
    "SELECT datname || '=' || pg_get_userbyid(datdba) FROM pg_database ORDER BY 1",
  );
  expect(list).toContain('airflow=airflow');
  expect(list).toContain('mlflow=mlflow');
  const denied = cluster.try([
    'exec',
    PLATFORM,
    'deployment/mlflow',
    '--',
    'python',
    '-c',
    "import psycopg2; psycopg2.connect('dbname=airflow')",
  ]);
  expect(denied.status).not.toBe(0);
  expect(denied.output).toMatch(/permission denied for database "airflow"/);
});

test('MLflow tracks a run, and its artifact goes to its own bucket and no other', () => {
  const output = cluster.kubectl('exec', PLATFORM, 'deployment/mlflow', '--', 'python', '-c', TRACK);
  expect(output).toContain('artifact at s3://mlflow/artifacts/');
  expect(output).toContain('read back: hello');
  expect(output).toContain('other bucket: AccessDenied');
  expect(output).toContain('without login: 401');
  expect(output).toContain('unknown host: 403');
});

test.each(['mlops-platform', 'mlops-steps'])('%s refuses a pod that is not restricted', (namespace) => {
  const { status, output } = cluster.try([
    'run',
    'plain',
    `--namespace=${namespace}`,
    '--image=docker.io/library/busybox:1.36',
    '--restart=Never',
  ]);
  expect(status).not.toBe(0);
  expect(output).toMatch(/violates PodSecurity "restricted/);
});

/** The pods of the workloads and Jobs above. */
function ran(labels: Record<string, string>): boolean {
  const name = labels['app.kubernetes.io/name'];
  if (name === 'mlops-platform') return true;
  if (name === 'minio' || name === 'mlflow') return true;
  return name === 'postgres' && labels['app.kubernetes.io/component'] !== 'exporter';
}

/** Name and content of every generated Secret. */
function secrets(): string[] {
  return ['mlops-platform', 'mlops-steps'].flatMap((namespace) =>
    cluster
      .get<{ items: { metadata: { name: string; uid: string }; data: Record<string, string> }[] }>(
        'secrets',
        `--namespace=${namespace}`,
        '--selector=app.kubernetes.io/managed-by=mlops-lifecycle',
      )
      .items.map(
        ({ metadata, data }) => `${namespace}/${metadata.name} ${metadata.uid} ${JSON.stringify(data)}`,
      ),
  );
}

function there(): string[] {
  cluster.kubectl(
    'wait',
    PLATFORM,
    'deployment/custom-resources',
    '--for=condition=Available',
    '--timeout=5m',
  );
  return cluster
    .get<{ items: { kind: string; metadata: { name: string } }[] }>(
      'alertmanagers,podmonitors,prometheuses,prometheusrules,servicemonitors',
      '--all-namespaces',
    )
    .items.map(({ kind, metadata }) => `${kind}/${metadata.name}`)
    .sort();
}

function psql(database: string, query: string): string {
  return cluster.kubectl(
    'exec',
    PLATFORM,
    'statefulset/postgres',
    '--',
    'psql',
    '-U',
    'postgres',
    '-d',
    database,
    '-Atc',
    query,
  );
}

/** Runs in MLflow's own pod: what a step will do, from the only place that has the client here. */
const TRACK = `
import os, urllib.error, urllib.request, boto3, botocore.exceptions, mlflow
os.environ["MLFLOW_TRACKING_USERNAME"] = os.environ["MLFLOW_AUTH_ADMIN_USERNAME"]
os.environ["MLFLOW_TRACKING_PASSWORD"] = os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"]
mlflow.set_tracking_uri("http://mlflow.mlops-platform.svc:5000")
mlflow.set_experiment("smoke")
with mlflow.start_run() as run:
    mlflow.log_metric("mae", 1.5)
    mlflow.log_text("hello", "note.txt")
print("artifact at", run.info.artifact_uri)
print("read back:", mlflow.artifacts.load_text(run.info.artifact_uri + "/note.txt"))
try:
    boto3.client("s3").put_object(Bucket="data", Key="x", Body=b"x")
except botocore.exceptions.ClientError as error:
    print("other bucket:", error.response["Error"]["Code"])
def status(host, path):
    request = urllib.request.Request("http://mlflow.mlops-platform.svc:5000" + path, headers={"Host": host})
    try:
        return urllib.request.urlopen(request).status
    except urllib.error.HTTPError as error:
        return error.code
search = "/api/2.0/mlflow/experiments/search?max_results=1"
print("without login:", status("mlflow.mlops-platform.svc:5000", search))
print("unknown host:", status("evil.example.com", search))
`;
