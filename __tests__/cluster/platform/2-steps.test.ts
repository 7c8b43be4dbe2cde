import { report, timed } from '../support/cluster';
import { cluster, secret, serviceUrl } from '../support/platform';
import { until } from '../support/prometheus';

let token: string;

beforeAll(() => {
  const login = { username: 'admin', password: secret('airflow', 'admin-password') };
  token = (ask('POST', '/auth/token', login) as { access_token: string }).access_token;
});

test('a step pod reaches MLflow, the object store and Triton with its own credentials', () => {
  until(
    () => ask('GET', '/api/v2/dags') as { dags?: { dag_id: string }[] },
    ({ dags }) => (dags ?? []).some(({ dag_id }) => dag_id === 'platform_check'),
    180,
  );
  const { seconds, result } = timed(() => {
    const { dag_run_id } = ask('POST', '/api/v2/dags/platform_check/dagRuns', { logical_date: null }) as {
      dag_run_id: string;
    };
    const run = `/api/v2/dags/platform_check/dagRuns/${encodeURIComponent(dag_run_id)}`;
    const ended = until(
      () => ask('GET', run) as { state: string },
      ({ state }) => ['success', 'failed'].includes(state),
      600,
    );
    return { run, state: ended.state };
  });
  const log = JSON.stringify(ask('GET', `${result.run}/taskInstances/check/logs/1?full_content=true`));
  report(`platform_check ended in ${result.state} after ${seconds} s`);
  expect(log).toContain('yes  MLflow takes the login');
  expect(log).toContain('yes  the object store answers');
  expect(log).toContain('yes  Triton is ready');
  expect(result.state).toBe('success');
});

test('the log of the step is in the object store, where it outlives its pod', () => {
  const program = [
    'import boto3, os',
    "found = boto3.client('s3').list_objects_v2(Bucket='airflow-logs', Prefix='logs/dag_id=platform_check/')",
    "print([item['Key'] for item in found.get('Contents', [])])",
  ].join('\n');
  const keys = cluster.kubectl(
    'exec',
    '--namespace=mlops-platform',
    'deployment/airflow-scheduler',
    '--container=scheduler',
    '--',
    'python',
    '-c',
    program,
  );
  expect(keys).toContain('task_id=check/attempt=1.log');
});

/** Calls Airflow's API and returns the JSON of its answer. */
function ask(method: string, path: string, body?: object): unknown {
  const options = token ? ['--header', `Authorization: Bearer ${token}`] : [];
  const data = body ? ['--header', 'Content-Type: application/json', '--data', JSON.stringify(body)] : [];
  const url = serviceUrl('airflow-api-server', 8080) + path;
  const answer = cluster.enter(
    'curl',
    '--silent',
    '--max-time',
    '60',
    '--request',
    method,
    ...options,
    ...data,
    url,
  );
  return JSON.parse(answer) as unknown;
}
