import type { Endpoint, EnvValue } from '../kubernetes/connection';
import { ENVIRONMENT } from '../definitions/names';
import type { SecretRef } from '../definitions/secret-ref';

export interface AirflowSettings {
  readonly keys: SecretRef;
  /** Where a person opens Airflow. */
  readonly ingressUrl: string;
  /** Where the other components reach the api-server. */
  readonly apiServer: string;
  /** Where a person opens MLflow. */
  readonly mlflowPage: string;
  readonly logBucket: string;
  readonly prometheus: Endpoint;
  readonly parallelism: number;
}

/** Airflow's configuration, the same for every component. `$(NAME)` is filled in by the kubelet. */
export function airflowSettings(settings: AirflowSettings): Record<string, EnvValue> {
  const { keys, prometheus } = settings;
  const prometheusUrl = `http://${prometheus.host}:${prometheus.port}`;
  return {
    AIRFLOW__API__BASE_URL: settings.ingressUrl,
    AIRFLOW__API__SECRET_KEY: keys.key('api-secret-key'),
    AIRFLOW__API__WORKERS: '1',
    // Unset, each process makes its own and tasks die of "Signature verification failed".
    AIRFLOW__API_AUTH__JWT_SECRET: keys.key('jwt-secret'),
    AIRFLOW__CORE__AUTH_MANAGER: 'airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager',
    AIRFLOW__CORE__EXECUTION_API_SERVER_URL: `${settings.apiServer}/execution/`,
    // A pipeline lives by itself from the moment it is applied.
    AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION: 'False',
    AIRFLOW__CORE__EXECUTOR: 'LocalExecutor',
    AIRFLOW__CORE__FERNET_KEY: keys.key('fernet-key'),
    // Pods are found by address: no DNS name leads to a pod of a Deployment.
    AIRFLOW__CORE__HOSTNAME_CALLABLE: 'airflow.utils.net.get_host_ip_address',
    AIRFLOW__CORE__LOAD_EXAMPLES: 'False',
    AIRFLOW__CORE__PARALLELISM: String(settings.parallelism),
    // Seconds until a new DAG file is seen; five minutes otherwise.
    AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL: '60',
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN:
      'postgresql+psycopg2://$(PGUSER):$(PGPASSWORD)@$(PGHOST):$(PGPORT)/$(PGDATABASE)',
    // A task's log would otherwise vanish with its pod.
    AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER: `s3://${settings.logBucket}/logs`,
    AIRFLOW__LOGGING__REMOTE_LOGGING: 'True',
    AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID: 'object_store',
    // Each metric once: the old names have the DAG's in them, a new name for each DAG.
    AIRFLOW__METRICS__LEGACY_NAMES_ON: 'False',
    AIRFLOW__METRICS__OTEL_ON: 'True',
    AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK: 'True',
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED: 'False',
    AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT: '60',
    // A deferred step that resumes before its supervisor saw it end is marked failed; this narrows the window.
    AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL: '1',
    AIRFLOW_CONN_OBJECT_STORE: JSON.stringify({
      conn_type: 'aws',
      login: '$(AWS_ACCESS_KEY_ID)',
      password: '$(AWS_SECRET_ACCESS_KEY)',
      extra: { endpoint_url: '$(AWS_ENDPOINT_URL_S3)', region_name: '$(AWS_DEFAULT_REGION)' },
    }),
    // The image would start a whole Airflow before each command to see whether the database answers.
    CONNECTION_CHECK_MAX_COUNT: '0',
    // The DAGs read these two: where a model's versions are shown, and where its alerts are asked for.
    [ENVIRONMENT.mlflowPageUrl]: settings.mlflowPage,
    [ENVIRONMENT.prometheusUrl]: prometheusUrl,
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${prometheusUrl}/api/v1/otlp/v1/metrics`,
    // Seconds. While Prometheus is away, every process waits this long at its end, a task's as well.
    OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: '3',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
    OTEL_SERVICE_NAME: 'airflow',
  };
}
