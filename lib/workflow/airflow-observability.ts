import type { Construct } from 'constructs';
import type { Workload } from '../kubernetes/workload';
import type { Alert } from '../observability/alert';
import type { Dashboard } from '../observability/dashboard';
import type { Observability } from '../observability/observability';
import type { Signal } from '../observability/signal';
import { type AirflowDurations, airflowDurations } from './airflow-durations';
import { AIRFLOW_METRICS, AIRFLOW_TIMERS } from './airflow-metrics';

export interface AirflowObservabilityProps {
  readonly observability: Observability;
  /** The StatsD exporter that is scraped. @default - none: Airflow pushes to Prometheus over OTLP */
  readonly exporter?: Workload;
}

/** Declares the metrics, the alerts and the dashboard of Airflow, which pushes its metrics or sends them to an exporter. */
export function airflowObservability(scope: Construct, props: AirflowObservabilityProps): void {
  const { observability, exporter } = props;
  const durations = airflowDurations(observability.prometheus);
  const metrics = [...AIRFLOW_METRICS, ...Object.values(AIRFLOW_TIMERS).flatMap(durations.metrics)];
  observability.watch(scope, {
    system: 'airflow',
    ...(exporter ? { scrapes: [{ workload: exporter, port: 'metrics', metrics }] } : { pushes: metrics }),
    alerts: alerts(durations),
    dashboard: dashboard(durations),
  });
}

/** Time that a task may wait for a slot of its pool before an alert fires. */
const STARVING_MINUTES = 30;

export const schedulerBeats = beats('airflow_scheduler_heartbeat_total', 'Scheduler', 'Starts every task.');
const dagProcessorBeats = beats(
  'airflow_dag_processor_heartbeat_total',
  'DAG processor',
  'Reads the DAG files.',
);
const triggererBeats = beats('airflow_triggerer_heartbeat_total', 'Triggerer', 'Waits for the step pods.');

const importErrors: Signal = {
  name: 'DAG files in error',
  description: 'DAG files that cannot be imported. Their pipelines do not run.',
  unit: 'short',
  expr: 'max(airflow_dag_processing_import_errors)',
  as: 'stat',
};

export const failedRuns = (durations: AirflowDurations): Signal => ({
  name: 'Failed runs in the last hour',
  description: 'Runs of a DAG that ended in failure.',
  unit: 'short',
  expr: endedWithinAnHour(durations, AIRFLOW_TIMERS.failedRun),
  by: ['dag_id'],
});

export const succeededRuns = (durations: AirflowDurations): Signal => ({
  name: 'Successful runs in the last hour',
  description: 'Runs of a DAG that ended in success.',
  unit: 'short',
  expr: endedWithinAnHour(durations, AIRFLOW_TIMERS.successfulRun),
  by: ['dag_id'],
});

export const runningRuns: Signal = {
  name: 'Runs under way',
  description: 'Runs of any DAG that have started and not ended.',
  unit: 'short',
  expr: 'max(airflow_scheduler_dagruns_running)',
  as: 'stat',
};

export const retrainingRuns: Signal = {
  name: 'Runs started by an event',
  description: 'Runs in an hour that an asset event started rather than the clock: retraining, above all.',
  unit: 'short',
  expr: 'sum(increase(airflow_asset_triggered_dagruns_total[1h]))',
};

const starvingTasks: Signal = {
  name: 'Tasks without a slot',
  description: 'Tasks that could run if their pool had a free slot.',
  unit: 'short',
  expr: 'max(airflow_scheduler_tasks_starving)',
};

const alerts = (durations: AirflowDurations): Alert[] => [
  {
    name: 'AirflowSchedulerDown',
    expr: `${schedulerBeats.expr} == 0`,
    for: '5m',
    severity: 'critical',
    summary: 'The Airflow scheduler gives no sign of life: no task starts.',
  },
  {
    name: 'AirflowDagProcessorDown',
    expr: `${dagProcessorBeats.expr} == 0`,
    for: '5m',
    severity: 'critical',
    summary: 'The DAG processor gives no sign of life: changes of pipelines are not read.',
  },
  {
    name: 'AirflowTriggererDown',
    expr: `${triggererBeats.expr} == 0`,
    for: '5m',
    severity: 'critical',
    summary: 'The triggerer gives no sign of life: running steps are never seen to end.',
  },
  {
    name: 'AirflowDagImportError',
    expr: `${importErrors.expr} > 0`,
    for: '5m',
    severity: 'critical',
    summary: '{{ $value }} DAG files cannot be imported; their pipelines do not run.',
  },
  {
    name: 'AirflowRunFailed',
    expr: `${failedRuns(durations).expr} > 0`,
    for: '1m',
    severity: 'warning',
    summary: 'A run of {{ $labels.dag_id }} failed within the last hour.',
  },
  {
    name: 'AirflowTasksStarving',
    expr: `${starvingTasks.expr} > 0`,
    for: `${STARVING_MINUTES}m`,
    severity: 'warning',
    summary: '{{ $value }} tasks have been waiting for a slot of their pool.',
  },
];

const dashboard = (durations: AirflowDurations): Dashboard => ({
  uid: 'mlops-airflow',
  title: 'Airflow',
  description: 'The workflow engine that runs every step.',
  rows: [
    {
      title: 'Health',
      signals: [schedulerBeats, dagProcessorBeats, triggererBeats, importErrors, runningRuns],
    },
    {
      title: 'Runs',
      signals: [
        succeededRuns(durations),
        failedRuns(durations),
        {
          name: 'Mean length of a run',
          description: 'Mean time from start to end of the successful runs of the last hour.',
          unit: durations.unit,
          expr: `max by (dag_id) (${durations.meanIn(AIRFLOW_TIMERS.successfulRun, '1h')})`,
          by: ['dag_id'],
        },
        retrainingRuns,
      ],
    },
    {
      title: 'Tasks',
      signals: [
        {
          name: 'Slots of pools in use',
          description: 'Slots that running tasks hold.',
          unit: 'short',
          expr: 'max by (pool_name) (airflow_pool_running_slots)',
          by: ['pool_name'],
        },
        {
          name: 'Steps waited for',
          description: 'Triggers that the triggerer watches: one a running step pod.',
          unit: 'short',
          expr: 'sum by (hostname) (airflow_triggers_running)',
          by: ['hostname'],
        },
        starvingTasks,
        {
          name: 'Tasks queued',
          description: 'Tasks handed to the executor that have not started.',
          unit: 'short',
          expr: 'max by (executor_class_name) (airflow_executor_queued_tasks)',
          by: ['executor_class_name'],
        },
      ],
    },
    {
      title: 'Engine',
      signals: [
        {
          name: 'Scheduler loop',
          description: 'Mean time of one round of the scheduler. Tasks start late when it grows.',
          unit: durations.unit,
          expr: durations.meanOfAll(AIRFLOW_TIMERS.schedulerLoop, '5m'),
        },
        {
          name: 'Time to read all DAG files',
          description: 'Duration of one round of the DAG processor.',
          unit: 's',
          expr: 'max(airflow_dag_processing_total_parse_time)',
        },
      ],
    },
  ],
});

/**
 * A process that hangs still pushes its last count, so that only growth is a sign of life.
 * 0 also when nothing was ever pushed.
 */
function beats(metric: string, name: string, does: string): Signal {
  return {
    name,
    description: `${does} Up while its heartbeats of the last five minutes grow.`,
    unit: 'bool',
    expr: `(max(sum(rate(${metric}[5m])) > bool 0) or vector(0))`,
    as: 'stat',
  };
}

/** A series begins with its first run, of which an increase knows nothing: there, its whole count. */
function endedWithinAnHour(durations: AirflowDurations, timer: string): string {
  const [series] = durations.metrics(timer);
  return (
    `sum by (dag_id) ((${durations.count(timer)} unless ${series} offset 1h) ` +
    `or ${durations.countIn(timer, '1h')})`
  );
}
