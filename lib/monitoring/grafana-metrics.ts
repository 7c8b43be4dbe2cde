/** Metrics of Grafana that the platform uses. */
export const GRAFANA_METRICS = [
  'grafana_datasource_request_total',
  'grafana_http_request_duration_seconds_bucket',
  'grafana_http_request_duration_seconds_count',
  'grafana_http_request_duration_seconds_sum',
  'grafana_stat_totals_dashboard',
] as const;
