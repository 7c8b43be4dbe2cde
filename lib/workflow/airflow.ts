import { join } from 'node:path';
import type { Construct } from 'constructs';
import { textFile } from '../definitions/text-file';
import type { Connection, EnvValue } from '../kubernetes/connection';
import { images } from '../kubernetes/images';
import { Ingress, type IngressSettings, ingressUrl } from '../kubernetes/ingress';
import { commandProbe, httpProbe } from '../kubernetes/probe';
import { pythonFile } from '../kubernetes/program';
import type { Grant } from '../kubernetes/service-account';
import { ManifestFile } from '../kubernetes/manifest-file';
import { PLATFORM_NAMESPACE, STEPS_NAMESPACE } from '../kubernetes/namespaces';
import { ConfigFiles, type Mount, emptyDir } from '../kubernetes/volume';
import { Workload } from '../kubernetes/workload';
import type { Sidecar, WorkloadProps } from '../kubernetes/workload-props';
import type { IDatabase } from '../foundation/database';
import type { IObjectStore } from '../foundation/object-store';
import type { Secrets } from '../foundation/secrets';
import type { Observability } from '../observability/observability';
import { airflowObservability } from './airflow-observability';
import { DagFiles } from './dag-files';
import { airflowSettings, otlpSettings } from './airflow-settings';
import { AirflowStatsd } from './airflow-statsd';
import { StepPods } from './step-pods';

export interface AirflowProps {
  readonly secrets: Secrets;
  readonly database: IDatabase;
  readonly objectStore: IObjectStore;
  readonly observability: Observability;
  readonly ingress: IngressSettings;

  /**
   * Number of API servers. Every other component has one pod.
   * @default 1
   */
  readonly apiServerReplicas?: number;

  /**
   * Number of tasks that run at the same time. A task that waits for its step pod is deferred and does not count.
   * @default 8
   */
  readonly parallelism?: number;

  /**
   * Image of the step pods that contains every package.
   * @default - Python and uv; the packages are installed once, into a volume that the steps share
   */
  readonly stepImage?: string;

  /** @default - the cluster's default storage class */
  readonly storageClass?: string;
}

/** Runs every step of every model's life, on a schedule or on an event. */
export class Airflow extends ManifestFile {
  readonly stepPods: StepPods;
  readonly apiServer: Workload;
  private readonly env: Readonly<Record<string, EnvValue>>;

  constructor(scope: Construct, id: string, props: AirflowProps) {
    super(scope, id, { file: '20-workflow' });
    const keys = props.secrets.generate('airflow', {
      'admin-password': 'password',
      'api-secret-key': 'password',
      'fernet-key': 'fernet',
      'jwt-secret': 'password',
    });
    const { prometheus } = props.observability;
    const statsd = prometheus.otlpUrl === undefined ? new AirflowStatsd(this, 'statsd') : undefined;
    this.env = airflowSettings({
      keys,
      ingressUrl: ingressUrl('airflow', props.ingress),
      apiServer: `http://${API_SERVER}.${this.namespace}.svc:${API_PORT}`,
      mlflowPage: ingressUrl('mlflow', props.ingress),
      logBucket: props.objectStore.bucket('airflow-logs'),
      prometheusUrl: prometheus.url,
      prometheusMatcher: prometheus.shared ? prometheus.matcher : undefined,
      metrics: statsd ? statsd.settings : otlpSettings(prometheus.otlpUrl!),
      parallelism: props.parallelism ?? 8,
    });
    this.stepPods = new StepPods(this, 'step-pods', {
      mlflowPage: ingressUrl('mlflow', props.ingress),
      image: props.stepImage,
      storageClass: props.storageClass,
    });
    const dags = new DagFiles(this, 'dags', this.stepPods);
    this.apiServer = this.component('api-server', {
      ports: { http: API_PORT },
      memory: { request: '400Mi', limit: '1536Mi' },
      replicas: props.apiServerReplicas,
      // Takes the scheme from X-Forwarded-Proto, for redirects and for cookies that only https may send.
      args: ['api-server', '--proxy-headers'],
      env: { ADMIN_PASSWORD: keys.key('admin-password'), ...ANY_ADDRESS },
      // `db migrate` holds a database-wide lock, so that several API servers may start at the same time.
      initContainers: [
        { name: 'migrate', args: ['db', 'migrate'] },
        { name: 'admin-user', args: ['bash', '-ec', ADMIN_USER] },
      ],
      startupProbe: httpProbe('/api/v2/version', 'http', STARTUP),
      readinessProbe: httpProbe('/api/v2/monitor/health', 'http', { periodSeconds: 10 }),
      livenessProbe: httpProbe('/api/v2/version', 'http', LIVENESS),
    });
    const database = props.database.client('airflow');
    const preimports = new ConfigFiles(this, 'preimports', {
      name: 'airflow-preimports',
      files: { 'airflow_local_settings.py': pythonFile('airflow/airflow_local_settings.py') },
    });
    const scheduler = this.component('scheduler', {
      ports: { health: 8974, logs: 8793 },
      // Measured: 400Mi idle, 940Mi after ten runs. Forked workers share less memory once they have run a task.
      memory: { request: '1Gi', limit: '2Gi' },
      strategy: 'Recreate',
      // A task fails where no API server answers, and the first run of a pipeline starts as soon as the scheduler runs.
      initContainers: [
        WAIT_FOR_MIGRATION,
        { name: 'wait-for-api-server', command: ['bash', '-c', WAIT_FOR_API_SERVER] },
      ],
      grants: [...LAUNCH_STEPS, READ_PIPELINES],
      mounts: [dags.mount(), preimports.mountAt('/opt/airflow/config')],
      sidecars: [dags.sidecar()],
      startupProbe: httpProbe('/health', 'health', STARTUP),
      readinessProbe: httpProbe('/health', 'health', { periodSeconds: 10 }),
      livenessProbe: httpProbe('/health', 'health', LIVENESS),
    });
    const probe = new ConfigFiles(this, 'probe', {
      name: 'airflow-probe',
      files: { 'job_alive.py': pythonFile('programs/airflow_job_alive.py') },
    });
    const dagProcessor = this.component('dag-processor', {
      // Parsing takes more than 512Mi for a moment. With that limit the container is killed at every start.
      memory: { request: '300Mi', limit: '1Gi' },
      grants: [READ_PIPELINES],
      sidecars: [dags.sidecar(), this.history(database, dags.mount())],
      ...jobProbes(probe, 'DagProcessorJob', dags.mount()),
    });
    const triggerer = this.component('triggerer', {
      ports: { logs: 8794 },
      memory: { request: '350Mi', limit: '1Gi' },
      grants: LAUNCH_STEPS,
      ...jobProbes(probe, 'TriggererJob'),
    });

    const logs = props.objectStore.client({ name: 'airflow', buckets: { 'airflow-logs': 'write' } });
    for (const workload of [this.apiServer, scheduler, dagProcessor, triggerer]) {
      workload.uses(database, logs);
      props.observability.reaches(workload.networkPolicy);
      statsd?.exporter.endpoint('statsd').open(workload.networkPolicy);
      if (workload !== this.apiServer) this.apiServer.endpoint('http').open(workload.networkPolicy);
    }
    // The api-server shows the logs of tasks that still run.
    for (const worker of [scheduler, triggerer]) worker.endpoint('logs').open(this.apiServer.networkPolicy);
    new Ingress(this, 'ingress', {
      ingress: props.ingress,
      workload: this.apiServer,
      port: 'http',
      name: 'airflow',
      login: { user: 'admin', password: keys.key('admin-password') },
    });
    airflowObservability(this, { observability: props.observability, exporter: statsd?.exporter });
  }

  /** A sidecar that deletes old runs of the watch DAGs. There is a new run every few minutes. */
  private history(database: Connection, dags: Mount): Sidecar {
    return {
      name: 'history',
      image: images.airflow,
      command: ['bash', '-uc', DELETE_OLD_WATCH_RUNS],
      env: this.env,
      connections: [database],
      cpu: { request: '10m' },
      // It needs the limit for a few seconds a day; in between it takes 4Mi.
      memory: { request: '16Mi', limit: '512Mi' },
      mounts: [...HOME, dags],
    };
  }

  private component(
    component: string,
    props: Partial<WorkloadProps> & Pick<WorkloadProps, 'memory'>,
  ): Workload {
    return new Workload(this, component, {
      name: `airflow-${component}`,
      system: 'airflow',
      component,
      image: images.airflow,
      user: AIRFLOW_USER,
      args: [component],
      cpu: { request: '100m' },
      initContainers: [WAIT_FOR_MIGRATION],
      terminationGracePeriodSeconds: 60,
      ...props,
      env: { ...this.env, ...props.env, POD_IP: { fieldPath: 'status.podIP' } },
      mounts: [...HOME, ...(props.mounts ?? [])],
    });
  }
}

/** uid of the official image; its group is root's. */
const AIRFLOW_USER = { uid: 50000, gid: 0 };
const API_SERVER = 'airflow-api-server';
const API_PORT = 8080;
/**
 * Settings of the API server, with which its pages work under whatever host and port a browser uses. With a URL in
 * `base_url`, a login would lead to that URL. The other components need the URL, for links.
 *
 * Exception: it believes the X-Forwarded headers of every client, because the addresses of an ingress controller's pods
 * are not known at synth. A client that lies changes the scheme of its own redirects and its own address in the log.
 */
const ANY_ADDRESS = { AIRFLOW__API__BASE_URL: '/', FORWARDED_ALLOW_IPS: '*' };
const STARTUP = { periodSeconds: 2, failureThreshold: 150 };
const LIVENESS = { periodSeconds: 20, failureThreshold: 5 };

/** AIRFLOW_HOME receives airflow.cfg and logs; one emptyDir serves both paths. */
const HOME: Mount[] = [emptyDir('home', '/opt/airflow', '2Gi'), emptyDir('home', '/tmp', '2Gi', 'tmp')];

const DELETE_OLD_WATCH_RUNS = textFile(join(__dirname, 'delete-old-watch-runs.sh'));

const WAIT_FOR_MIGRATION = {
  name: 'wait-for-migration',
  args: ['db', 'check-migrations', '--migration-wait-timeout=600'],
};
const WAIT_FOR_API_SERVER =
  `until (exec 3<>/dev/tcp/${API_SERVER}/${API_PORT}) 2>/dev/null; ` +
  `do echo 'waiting for the api-server'; sleep 2; done`;

/**
 * Sets the password of the user `admin` to that of the Secret, and creates the user where it does not exist. `users
 * create` alone is not enough, because it ends with 0 and changes nothing where the user exists.
 */
const ADMIN_USER = [
  'airflow users reset-password --username admin --password "$ADMIN_PASSWORD" ||',
  'airflow users create --role Admin --username admin --password "$ADMIN_PASSWORD" --email admin@example.invalid --firstname Platform --lastname Admin',
].join(' ');

/** Each pipeline's spec is in a ConfigMap. RBAC cannot restrict `list` to a label. */
const READ_PIPELINES: Grant = {
  namespace: PLATFORM_NAMESPACE,
  rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['list'] }],
};

/** What KubernetesPodOperator needs: `patch` marks failed pods, `list` finds a pod again after a restart. */
const LAUNCH_STEPS: Grant[] = [
  {
    namespace: STEPS_NAMESPACE,
    rules: [
      { apiGroups: [''], resources: ['pods'], verbs: ['create', 'delete', 'get', 'list', 'patch', 'watch'] },
      { apiGroups: [''], resources: ['pods/log'], verbs: ['get'] },
      { apiGroups: [''], resources: ['events'], verbs: ['list', 'watch'] },
    ],
  },
];

/** Probes of the components that have no health endpoint. */
function jobProbes(probe: ConfigFiles, jobType: string, ...mounts: Mount[]) {
  const command = ['python', '/probe/job_alive.py', jobType];
  return {
    mounts: [probe.mountAt('/probe'), ...mounts],
    startupProbe: commandProbe(command, { periodSeconds: 3, failureThreshold: 120, timeoutSeconds: 10 }),
    readinessProbe: commandProbe(command, { periodSeconds: 30, timeoutSeconds: 10 }),
    livenessProbe: commandProbe(command, { periodSeconds: 60, timeoutSeconds: 20, failureThreshold: 5 }),
  };
}
