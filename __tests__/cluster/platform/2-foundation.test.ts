import { dump } from 'js-yaml';
import { objectsOf } from '../../support/dist';
import { OBJECT_STORE } from '../../support/object-store';
import { report } from '../support/cluster';
import { cluster, PLATFORM, psql, python } from '../support/platform';

test('six runs of the secrets Job at the same time leave every value as it was', () => {
  const before = secrets();
  expect(before.length).toBeGreaterThan(10);
  const job = objectsOf('laptop').find(({ metadata }) => metadata.name.startsWith('generate-secrets-'))!;
  const names = Array.from({ length: 6 }, (_, i) => `race-${i}`);
  const jobs = names.map((name) => ({ ...job, metadata: { ...job.metadata, name } }));
  expect(
    cluster.try(['apply', '--filename', '-'], jobs.map((one) => `---\n${dump(one)}`).join('')).status,
  ).toBe(0);
  for (const name of names)
    cluster.kubectl('wait', PLATFORM, `job/${name}`, '--for=condition=Complete', '--timeout=10m');
  expect(secrets()).toEqual(before);
  cluster.kubectl('delete', 'job', PLATFORM, ...names);
});

test("a week after an object was deleted or replaced, the object store's disk has its space again", () => {
  const server = [
    'exec',
    PLATFORM,
    `statefulset/${OBJECT_STORE.name}`,
    '--container=server',
    '--',
    'sh',
    '-c',
  ];
  for (const bucket of ['airflow-logs', 'data', 'mlflow', 'models']) {
    const { Rules } = JSON.parse(cluster.kubectl(...server, OBJECT_STORE.lifecycleRules(bucket))) as {
      Rules: object[];
    };
    expect(Rules).toEqual([
      expect.objectContaining({
        Status: 'Enabled',
        NoncurrentVersionExpiration: { NoncurrentDays: 7 },
        Expiration: { ExpiredObjectDeleteMarker: true },
      }),
    ]);
  }
});

test('six runs of the secrets Job at the same time make a missing Secret once', () => {
  const names = Array.from({ length: 6 }, (_, i) => `first-${i}`);
  const scratch = objectsOf('laptop')
    .filter(({ metadata }) => metadata.name.startsWith('generate-secrets'))
    .map(
      (object) => JSON.parse(JSON.stringify(object).replaceAll('triton-admin', 'race-made')) as typeof object,
    );
  const config = scratch.find(({ kind }) => kind === 'ConfigMap')!;
  const job = scratch.find(({ kind }) => kind === 'Job')!;
  const plan = {
    secrets: [{ name: 'race-made', namespaces: ['mlops-platform'], keys: { key: 'password' } }],
  };
  const files = {
    ...config,
    metadata: { ...config.metadata, name: 'race' },
    data: { ...config.data, 'plan.json': JSON.stringify(plan) },
  };
  const jobs = names.map((name) => ({
    ...(JSON.parse(
      JSON.stringify(job).replace('"configMap":{"name":"generate-secrets"}', '"configMap":{"name":"race"}'),
    ) as typeof job),
    metadata: { ...job.metadata, name },
  }));
  const input = [files, ...jobs].map((one) => `---\n${dump(one)}`).join('');
  expect(cluster.try(['apply', '--filename', '-'], input).status).toBe(0);
  for (const name of names)
    cluster.kubectl('wait', PLATFORM, `job/${name}`, '--for=condition=Complete', '--timeout=10m');
  const logs = cluster.kubectl(
    'logs',
    PLATFORM,
    ...['--selector=app.kubernetes.io/component=generate-secrets', '--tail=-1', '--prefix'],
  );
  const lines = logs.split('\n').filter((line) => line.includes('race-made'));
  expect(lines.filter((line) => line.endsWith(': made'))).toHaveLength(1);
  expect(lines.filter((line) => line.includes('exists'))).toHaveLength(names.length - 1);
  cluster.kubectl(
    'delete',
    PLATFORM,
    'configmap/race',
    'secret/race-made',
    ...names.map((name) => `job/${name}`),
  );
});

test('each client of Postgres owns a database of its own and may not enter another one', () => {
  const owners = psql(
    'postgres',
    "SELECT datname || '=' || pg_get_userbyid(datdba) FROM pg_database ORDER BY 1",
  );
  expect(owners).toContain('airflow=airflow');
  expect(owners).toContain('mlflow=mlflow');
  const program = "import psycopg2; psycopg2.connect('dbname=airflow')";
  const denied = cluster.try(['exec', PLATFORM, 'deployment/mlflow', '--', 'python', '-c', program]);
  expect(denied.status).not.toBe(0);
  expect(denied.output).toMatch(/permission denied for database "airflow"/);
});

test('MLflow tracks a run, and its artifact goes to its own bucket and no other', () => {
  const output = python('deployment/mlflow', TRACK);
  report(output.trim().split('\n').join('; '));
  expect(output).toContain('artifact at s3://mlflow/artifacts/');
  expect(output).toContain('read back: hello');
  expect(output).toContain('other bucket: AccessDenied');
});

/** Name, uid and content of every generated Secret. */
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

/** Tracks a run as a step does. It runs in MLflow's pod, which has the client library. */
const TRACK = `
import os, boto3, botocore.exceptions, mlflow
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
`;
