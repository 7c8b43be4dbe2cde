import { ended, log, trigger, waitForDag } from '../support/airflow';
import { report, timed } from '../support/cluster';
import { cluster } from '../support/platform';

test('a step pod reaches MLflow, the object store and Triton with its own credentials', () => {
  waitForDag('platform_check');
  const { seconds, result } = timed(() => ended('platform_check', trigger('platform_check')));
  report(`platform_check ended in ${result.state} after ${seconds} s`);
  const said = log('platform_check', result.dag_run_id, 'check');
  expect(said).toContain('yes  MLflow takes the login');
  expect(said).toContain('yes  the object store answers');
  expect(said).toContain('yes  Triton is ready');
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
