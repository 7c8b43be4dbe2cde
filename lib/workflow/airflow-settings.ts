import type { EnvValue } from '../kubernetes/connection';
import { ENVIRONMENT } from '../definitions/names';
import type { SecretRef } from '../definitions/secret-ref';

export interface AirflowSettings {
  readonly keys: SecretRef;
  /** URL at which a person opens Airflow, for links. */
  readonly ingressUrl: string;
  /** URL at which the other components reach the API server. */
  readonly apiServer: string;
  /** URL at which a person opens MLflow. */
  readonly mlflowPage: string;
  readonly logBucket: string;
  /** URL of the Prometheus whose alerts start retrainings. */
  readonly prometheusUrl: string;
  /** PromQL matcher of the platform's alerts. @default - that of the platform's own Prometheus */
  readonly prometheusMatcher?: string;
  /** Variables by which Airflow's programs send their metrics. */
  readonly metrics: Readonly<Record<string, EnvValue>>;
  readonly parallelism: number;
}

/** Airflow's configuration, the same for every component. The kubelet replaces `$(NAME)` by the variable's value. */
export function airflowSettings(settings: AirflowSettings): Record<string, EnvValue> {
  const { keys } = settings;
  return {
    AIRFLOW__API__BASE_URL: settings.ingressUrl,
    AIRFLOW__API__SECRET_KEY: keys.key('api-secret-key'),
    AIRFLOW__API__WORKERS: '1',
    // By default each process makes a key of its own, and tasks fail with "Signature verification failed".
    AIRFLOW__API_AUTH__JWT_SECRET: keys.key('jwt-secret'),
    AIRFLOW__CORE__AUTH_MANAGER: 'airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager',
    AIRFLOW__CORE__EXECUTION_API_SERVER_URL: `${settings.apiServer}/execution/`,
    // A pipeline starts to run as soon as it is applied.
    AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION: 'False',
    AIRFLOW__CORE__EXECUTOR: 'LocalExecutor',
    AIRFLOW__CORE__FERNET_KEY: keys.key('fernet-key'),
    // Components find each other by pod address, because a pod of a Deployment has no DNS name.
    AIRFLOW__CORE__HOSTNAME_CALLABLE: 'airflow.utils.net.get_host_ip_address',
    AIRFLOW__CORE__LOAD_EXAMPLES: 'False',
    AIRFLOW__CORE__PARALLELISM: String(settings.parallelism),
    // Seconds until a new DAG file is found. The default is five minutes.
    AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL: '60',
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN:
      'postgresql+psycopg2://$(PGUSER):$(PGPASSWORD)@$(PGHOST):$(PGPORT)/$(PGDATABASE)',
    // Otherwise a task's log is lost with its pod.
    AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER: `s3://${settings.logBucket}/logs`,
    AIRFLOW__LOGGING__REMOTE_LOGGING: 'True',
    AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID: 'object_store',
    // Legacy names contain the name of the DAG, so that each DAG would add new metrics.
    AIRFLOW__METRICS__LEGACY_NAMES_ON: 'False',
    AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK: 'True',
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED: 'False',
    AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT: '60',
    // Airflow marks a deferred task as failed that resumes before its supervisor has seen it end. A short interval
    // makes that rare.
    AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL: '1',
    AIRFLOW_CONN_OBJECT_STORE: JSON.stringify({
      conn_type: 'aws',
      login: '$(AWS_ACCESS_KEY_ID)',
      password: '$(AWS_SECRET_ACCESS_KEY)',
      extra: { endpoint_url: '$(AWS_ENDPOINT_URL_S3)', region_name: '$(AWS_DEFAULT_REGION)' },
    }),
    // The image's entry point would otherwise start Airflow once more before each command, to check the database.
    CONNECTION_CHECK_MAX_COUNT: '0',
    // The DAGs link to MLflow's page, and ask Prometheus for firing alerts.
    [ENVIRONMENT.mlflowPageUrl]: settings.mlflowPage,
    [ENVIRONMENT.prometheusUrl]: settings.prometheusUrl,
    ...(settings.prometheusMatcher === undefined
      ? {}
      : { [ENVIRONMENT.prometheusMatcher]: settings.prometheusMatcher }),
    ...settings.metrics,
  };
}

/** Makes Airflow push its metrics over OTLP. */
export function otlpSettings(url: string): Record<string, EnvValue> {
  return {
    AIRFLOW__METRICS__OTEL_ON: 'True',
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: url,
    // Seconds that every process, each task's too, waits at its end while Prometheus does not answer.
    OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: '3',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
    OTEL_SERVICE_NAME: 'airflow',
  };
}
