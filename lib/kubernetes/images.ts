/**
 * Every image that the platform runs, with an exact tag. None is pinned by a digest, because the list was made without
 * access to a registry.
 */
export const images = {
  /** Runs as uid 50000, gid 0. */
  airflow: 'docker.io/apache/airflow:3.3.2',
  alertmanager: 'quay.io/prometheus/alertmanager:v0.34.0',
  configReloader: 'quay.io/prometheus-operator/prometheus-config-reloader:v0.85.0',
  dcgmExporter: 'nvcr.io/nvidia/k8s/dcgm-exporter:4.5.3-4.8.2-distroless',
  devicePlugin: 'nvcr.io/nvidia/k8s-device-plugin:v0.20.0',
  grafana: 'docker.io/grafana/grafana:13.1.3',
  kubeStateMetrics: 'registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0',
  /** `mc` provisions buckets, users and policies. The last tag that MinIO published. */
  minioClient: 'quay.io/minio/mc:RELEASE.2025-08-13T08-35-41Z',
  /** The last tag that MinIO published; its Docker Hub repositories are gone. */
  minio: 'quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z',
  /** `-full` contains the database drivers, boto3 and the Prometheus exporter; the plain tag does not. */
  mlflow: 'ghcr.io/mlflow/mlflow:v3.17.0-full',
  nodeExporter: 'quay.io/prometheus/node-exporter:v1.12.1',
  /** 17 keeps its data under /var/lib/postgresql/data; 18 moved it. Runs as uid 999. */
  postgres: 'docker.io/library/postgres:17.6',
  postgresExporter: 'quay.io/prometheuscommunity/postgres-exporter:v0.20.1',
  prometheus: 'quay.io/prometheus/prometheus:v3.14.0',
  prometheusOperator: 'quay.io/prometheus-operator/prometheus-operator:v0.85.0',
  /** CPython and `uv`, for the small in-cluster programs and the step pods. */
  python: 'ghcr.io/astral-sh/uv:0.9.29-python3.12-bookworm-slim',
  statsdExporter: 'quay.io/prometheus/statsd-exporter:v0.28.0',
  /** About 9 GB to pull. Runs as uid 1000. */
  triton: 'nvcr.io/nvidia/tritonserver:26.11-py3',
} as const;
