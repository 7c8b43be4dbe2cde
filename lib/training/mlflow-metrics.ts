/**
 * Metrics of MLflow with `--expose-prometheus`: the defaults of prometheus_flask_exporter with the prefix `mlflow`, by
 * method and status. Requests of `/health` and `/version` are not counted.
 */
export const MLFLOW_METRICS = [
  'mlflow_exporter_info',
  'mlflow_http_request_duration_seconds_bucket',
  'mlflow_http_request_duration_seconds_count',
  'mlflow_http_request_duration_seconds_sum',
  'mlflow_http_request_exceptions_total',
  'mlflow_http_request_total',
] as const;
