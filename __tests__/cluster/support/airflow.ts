import { cluster, secret, serviceUrl } from './platform';
import { until } from './prometheus';

/** The fields of a DAG's run that the suites read. */
export interface Run {
  readonly dag_run_id: string;
  readonly run_type: 'asset_triggered' | 'backfill' | 'manual' | 'scheduled';
  readonly state: 'failed' | 'queued' | 'running' | 'success';
  readonly logical_date: string | null;
}

/** The fields of a task instance that the suites read. */
export interface Task {
  readonly task_id: string;
  readonly state: string | null;
  readonly try_number: number;
  readonly start_date: string | null;
  readonly end_date: string | null;
}

let token: string | undefined;

/**
 * Calls Airflow's API as its admin.
 * @returns its answer, parsed; undefined where it is empty
 */
export function airflow<T>(method: string, path: string, body?: object): T {
  token ??= (
    call('POST', '/auth/token', { username: 'admin', password: secret('airflow', 'admin-password') }) as {
      access_token: string;
    }
  ).access_token;
  return call(method, `/api/v2/${path}`, body) as T;
}

/** Waits, for at most 180 seconds, until Airflow knows a DAG. */
export function waitForDag(dag: string): void {
  until(
    () => airflow<{ dag_id?: string }>('GET', `dags/${dag}`),
    ({ dag_id }) => dag_id === dag,
    180,
  );
}

/** Waits for the run that Airflow starts by itself for a new pipeline. @throws Error after 300 seconds */
export function firstRun(dag: string): Run {
  waitForDag(dag);
  const [first] = until(
    () => runs(dag),
    (found) => found.length > 0,
    300,
  );
  if (!first) throw new Error(`${dag} does not run`);
  return first;
}

/** Starts a run by hand. @returns its id */
export function trigger(dag: string, conf: object = {}): string {
  return airflow<Run>('POST', `dags/${dag}/dagRuns`, { logical_date: null, conf }).dag_run_id;
}

/** All runs of a DAG, the oldest first. */
export function runs(dag: string): Run[] {
  return airflow<{ dag_runs: Run[] }>('GET', `dags/${dag}/dagRuns?limit=100&order_by=id`).dag_runs;
}

function run(dag: string, id: string): Run {
  return airflow<Run>('GET', runPath(dag, id));
}

/** The data of the Asset events that started a run. */
export function eventsOf(dag: string, id: string): unknown[] {
  const { asset_events } = airflow<{ asset_events: { extra: unknown }[] }>(
    'GET',
    `${runPath(dag, id)}/upstreamAssetEvents`,
  );
  return asset_events.map(({ extra }) => extra);
}

/** Waits until a run has ended or `seconds` are over. @returns the run as it is then */
export function ended(dag: string, id: string, seconds = 600): Run {
  return until(
    () => run(dag, id),
    ({ state }) => state === 'success' || state === 'failed',
    seconds,
  );
}

/** The tasks of a run by their names. */
export function tasks(dag: string, id: string): Record<string, Task> {
  const { task_instances } = airflow<{ task_instances: Task[] }>('GET', `${runPath(dag, id)}/taskInstances`);
  return Object.fromEntries(task_instances.map((one) => [one.task_id, one]));
}

/** The log of one attempt of a task, as JSON text. */
export function log(dag: string, id: string, task: string, attempt = 1): string {
  const path = `${runPath(dag, id)}/taskInstances/${task}/logs/${attempt}?full_content=true`;
  return JSON.stringify(airflow('GET', path));
}

function runPath(dag: string, id: string): string {
  return `dags/${dag}/dagRuns/${encodeURIComponent(id)}`;
}

function call(method: string, path: string, body?: object): unknown {
  const options = token ? ['--header', `Authorization: Bearer ${token}`] : [];
  const data = body ? ['--header', 'Content-Type: application/json', '--data', JSON.stringify(body)] : [];
  const url = serviceUrl('airflow-api-server', 8080) + path;
  const answer = cluster.enter(
    ...['curl', '--silent', '--max-time', '60', '--request', method],
    ...options,
    ...data,
    url,
  );
  return answer === '' ? undefined : (JSON.parse(answer) as unknown);
}
