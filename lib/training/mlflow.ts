import type { Construct } from 'constructs';
import type { Connection, EnvValue } from '../kubernetes/connection';
import { images } from '../kubernetes/images';
import { Ingress, type IngressSettings } from '../kubernetes/ingress';
import { commandProbe, httpProbe } from '../kubernetes/probe';
import { packageFiles, pythonFile } from '../kubernetes/program';
import type { SecretRef } from '../definitions/secret-ref';
import { ManifestFile } from '../kubernetes/manifest-file';
import { PLATFORM_NAMESPACE, STEPS_NAMESPACE } from '../kubernetes/namespaces';
import { ConfigFiles, emptyDir } from '../kubernetes/volume';
import { Workload } from '../kubernetes/workload';
import type { IDatabase } from '../foundation/database';
import type { IObjectStore } from '../foundation/object-store';
import type { Secrets } from '../foundation/secrets';
import type { Observability } from '../observability/observability';
import { allowedHosts, allowedOrigins } from './mlflow-allow-lists';
import { mlflowObservability } from './mlflow-observability';

export interface MLflowProps {
  readonly secrets: Secrets;
  readonly database: IDatabase;
  readonly objectStore: IObjectStore;
  readonly observability: Observability;
  readonly ingress: IngressSettings;

  /**
   * Number of servers.
   * @default 1
   */
  readonly replicas?: number;
}

/** The tracking server and model registry, as their clients see them. */
export interface ITracking {
  /** Address and login, as the `MLFLOW_TRACKING_*` variables that MLflow's client reads. */
  client(): Connection;
}

/** The MLflow server: tracking and model registry. Its metadata is in Postgres, its artifacts are in S3. */
export class MLflow extends ManifestFile implements ITracking {
  readonly server: Workload;
  private readonly login: SecretRef;

  constructor(scope: Construct, id: string, props: MLflowProps) {
    super(scope, id, { file: '30-training' });
    this.login = props.secrets.generate(
      'mlflow-login',
      { username: { literal: ADMIN }, password: 'password' },
      [PLATFORM_NAMESPACE, STEPS_NAMESPACE],
    );
    const session = props.secrets.generate('mlflow-session', { 'secret-key': 'password' });
    const files = new ConfigFiles(this, 'files', {
      name: 'mlflow-files',
      files: {
        'basic_auth.ini': BASIC_AUTH,
        ...packageFiles(['cluster_http'], 'lifecycle/'),
        'migrate_mlflow.py': pythonFile('programs/migrate_mlflow.py'),
        'mlflow_ready.py': pythonFile('programs/mlflow_ready.py'),
      },
    });
    this.server = new Workload(this, 'server', {
      name: 'mlflow',
      system: 'mlflow',
      component: 'server',
      image: images.mlflow,
      user: { uid: 1000, gid: 1000 },
      replicas: props.replicas,
      ports: { http: PORT },
      command: ['mlflow', 'server'],
      args: [
        '--host=0.0.0.0',
        `--port=${PORT}`,
        '--workers=1',
        '--app-name=basic-auth',
        // Steps write artifacts directly to S3. A large one would fill this pod's memory on its way.
        '--no-serve-artifacts',
        `--default-artifact-root=s3://${props.objectStore.bucket('mlflow')}/artifacts`,
        '--expose-prometheus=/tmp/prometheus',
        // By default a worker that is busy for five seconds is killed.
        '--uvicorn-opts=--timeout-worker-healthcheck 60',
      ],
      env: this.settings(props.ingress, session),
      initContainers: [{ name: 'migrate', command: ['python', '/files/migrate_mlflow.py'] }],
      cpu: { request: '100m' },
      memory: { request: '512Mi', limit: '1536Mi' },
      mounts: [emptyDir('tmp', '/tmp', '1Gi'), files.mountAt('/files')],
      startupProbe: httpProbe('/health', 'http', { periodSeconds: 2, failureThreshold: 150 }),
      readinessProbe: commandProbe(['python', '/files/mlflow_ready.py'], {
        periodSeconds: 15,
        timeoutSeconds: 10,
      }),
      livenessProbe: httpProbe('/health', 'http', {
        periodSeconds: 20,
        timeoutSeconds: 10,
        failureThreshold: 6,
      }),
    });
    this.server.uses(
      props.database.client('mlflow'),
      props.objectStore.client({ name: 'mlflow', buckets: { mlflow: 'write' } }),
    );
    new Ingress(this, 'ingress', {
      ingress: props.ingress,
      workload: this.server,
      port: 'http',
      login: { user: ADMIN, password: this.login.key('password') },
    });
    mlflowObservability(this, {
      observability: props.observability,
      server: this.server,
      basicAuth: { username: this.login.key('username'), password: this.login.key('password') },
    });
  }

  client(): Connection {
    const endpoint = this.server.endpoint('http');
    return {
      endpoint,
      env: {
        MLFLOW_TRACKING_URI: `http://${endpoint.host}:${endpoint.port}`,
        MLFLOW_TRACKING_USERNAME: this.login.key('username'),
        MLFLOW_TRACKING_PASSWORD: this.login.key('password'),
      },
    };
  }

  private settings(ingress: IngressSettings, session: SecretRef): Record<string, EnvValue> {
    return {
      HOME: '/tmp',
      // libpq finds host, role and password in the PG* variables.
      MLFLOW_BACKEND_STORE_URI: 'postgresql+psycopg2:///',
      MLFLOW_AUTH_CONFIG_PATH: '/files/basic_auth.ini',
      MLFLOW_AUTH_ADMIN_USERNAME: this.login.key('username'),
      MLFLOW_AUTH_ADMIN_PASSWORD: this.login.key('password'),
      MLFLOW_FLASK_SERVER_SECRET_KEY: session.key('secret-key'),
      POD_IP: { fieldPath: 'status.podIP' },
      MLFLOW_SERVER_ALLOWED_HOSTS: allowedHosts(ingress, PORT, '$(POD_IP)').join(','),
      MLFLOW_SERVER_CORS_ALLOWED_ORIGINS: allowedOrigins(ingress).join(','),
      // The job runner takes 240 MB of memory, and nothing here uses it.
      MLFLOW_SERVER_ENABLE_JOB_EXECUTION: 'false',
      MLFLOW_DISABLE_TELEMETRY: 'true',
      MLFLOW_S3_ENDPOINT_URL: '$(AWS_ENDPOINT_URL_S3)',
    };
  }
}

const PORT = 5000;
const ADMIN = 'admin';

/** Users are in the same database as runs, which is possible because each schema has its own version table. */
const BASIC_AUTH = `[mlflow]
default_permission = READ
database_uri = postgresql+psycopg2:///
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
`;
