/**
 * What Airflow 3.3.2 counts, as far as the platform asks for it. The names are read in
 * its source (metrics_template.yaml and the calls of `stats`) and turned as Prometheus
 * turns what comes over OTLP: dots to underscores, the prefix `airflow`, `_total` for
 * counters. The StatsD exporter is told to do the same. Timers: airflow-durations.ts.
 *
 * Left out on purpose: what a task's own process counts (`ti_failures`, `ti.finish`).
 * It ends before a second sample, so that no rate can be taken of it.
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

/** What it times. */
export const AIRFLOW_TIMERS = {
  failedRun: 'dagrun_duration_failed',
  successfulRun: 'dagrun_duration_success',
  schedulerLoop: 'scheduler_scheduler_loop_duration',
} as const;
