/**
 * Counters and gauges of Airflow 3.3.2 that the platform uses. The names are from Airflow's source
 * (metrics_template.yaml and the calls of `stats`), converted as Prometheus converts metrics over OTLP: dots to
 * underscores, the prefix `airflow`, and `_total` for counters. The StatsD exporter is configured to do the same.
 * Timers are in airflow-durations.ts.
 *
 * Metrics that a task's own process counts (`ti_failures`, `ti.finish`) are left out. The process ends before a second
 * sample, so no rate can be computed from them.
 */
export const AIRFLOW_METRICS = [
  'airflow_asset_triggered_dagruns_total',
  'airflow_dag_processing_file_path_queue_size',
  'airflow_dag_processing_import_errors',
  'airflow_dag_processing_total_parse_time',
  'airflow_dag_processor_heartbeat_total',
  'airflow_dagbag_size',
  'airflow_executor_open_slots',
  'airflow_executor_queued_tasks',
  'airflow_executor_running_tasks',
  'airflow_pool_deferred_slots',
  'airflow_pool_open_slots',
  'airflow_pool_queued_slots',
  'airflow_pool_running_slots',
  'airflow_pool_scheduled_slots',
  'airflow_scheduler_dagruns_running',
  'airflow_scheduler_heartbeat_total',
  'airflow_scheduler_orphaned_tasks_cleared_total',
  'airflow_scheduler_tasks_starving',
  'airflow_triggerer_capacity_left',
  'airflow_triggerer_heartbeat_total',
  'airflow_triggers_failed_total',
  'airflow_triggers_running',
] as const;

/** Timers of Airflow that the platform uses. */
export const AIRFLOW_TIMERS = {
  failedRun: 'dagrun_duration_failed',
  successfulRun: 'dagrun_duration_success',
  schedulerLoop: 'scheduler_scheduler_loop_duration',
} as const;
