/** Metrics of Prometheus 3.14 that the platform uses. */
export const PROMETHEUS_METRICS = [
  'prometheus_config_last_reload_successful',
  'prometheus_notifications_alertmanagers_discovered',
  'prometheus_notifications_dropped_total',
  'prometheus_notifications_sent_total',
  'prometheus_rule_evaluation_failures_total',
  'prometheus_rule_group_last_duration_seconds',
  'prometheus_tsdb_compactions_failed_total',
  'prometheus_tsdb_head_samples_appended_total',
  'prometheus_tsdb_head_series',
  'prometheus_tsdb_storage_blocks_bytes',
  'prometheus_tsdb_wal_storage_size_bytes',
] as const;

/** Metrics of Alertmanager 0.34 that the platform uses. */
export const ALERTMANAGER_METRICS = [
  'alertmanager_config_last_reload_successful',
  'alertmanager_notifications_failed_total',
  'alertmanager_notifications_total',
] as const;

/** Metrics of prometheus-operator 0.85 that the platform uses. */
export const OPERATOR_METRICS = [
  'prometheus_operator_managed_resources',
  'prometheus_operator_ready',
  'prometheus_operator_reconcile_errors_total',
  'prometheus_operator_reconcile_operations_total',
] as const;
