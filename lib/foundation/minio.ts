import { join } from 'node:path';
import { Lazy } from 'cdk8s';
import { k8s } from 'cdk8s-plus-28';
import { Construct } from 'constructs';
import type { Connection } from '../kubernetes/connection';
import { images } from '../kubernetes/images';
import { Ingress, ingressUrl, opensWithHttps } from '../kubernetes/ingress';
import { until, waitContainer } from '../kubernetes/pod-defaults';
import type { Bytes } from '../definitions/quantity';
import { textFile } from '../definitions/text-file';
import { PersistentVolumeClaim, contentHash, emptyDir } from '../kubernetes/volume';
import { Workload } from '../kubernetes/workload';
import { minioObservability } from './minio-observability';
import {
  type BucketAccess,
  type BucketUse,
  credentialNamespaces,
  type IObjectStore,
  type ObjectStoreContext,
  storeConnection,
  type StoreClientProps,
  WAIT_FOR_OBJECT_STORE,
} from './object-store';

export interface MinIOProps extends ObjectStoreContext {
  readonly storage: Bytes;
}

const MINIO_USER = { uid: 1000, gid: 1000 };
const ROOT = 'root';
const BUCKETS: BucketUse[] = ['airflow-logs', 'data', 'mlflow', 'models'];
const PROVISION = textFile(join(__dirname, 'provision-minio.sh'));

/** An S3 store in the cluster, with the platform's buckets and one key for each client. */
export class MinIO extends Construct implements IObjectStore {
  readonly server: Workload;
  private readonly provisioning: Workload;
  private readonly policies = new Map<string, StoreClientProps['buckets']>();

  constructor(
    scope: Construct,
    id: string,
    private readonly props: MinIOProps,
  ) {
    super(scope, id);
    const root = props.secrets.generate('minio-root', { password: 'password' });
    const claim = new PersistentVolumeClaim(this, 'data', {
      name: 'minio-data',
      size: props.storage,
      storageClass: props.storageClass,
    });
    this.server = new Workload(this, 'server', {
      name: 'minio',
      system: 'minio',
      component: 'server',
      kind: 'StatefulSet',
      image: images.minio,
      user: MINIO_USER,
      args: [
        'server',
        '/data',
        '--address',
        ':9000',
        '--console-address',
        ':9001',
        '--certs-dir',
        '/tmp/certs',
      ],
      ports: { s3: 9000, console: 9001 },
      env: {
        MINIO_ROOT_USER: ROOT,
        MINIO_ROOT_PASSWORD: root.key('password'),
        // Metrics need no token. They are on the S3 port, which only Prometheus and the store's clients may reach.
        MINIO_PROMETHEUS_AUTH_TYPE: 'public',
        MINIO_UPDATE: 'off',
        // The console's share links have the host and port of the browser, but http unless this URL has https.
        ...(opensWithHttps(props.ingress)
          ? { MINIO_BROWSER_REDIRECT_URL: ingressUrl('minio', props.ingress) }
          : {}),
      },
      cpu: { request: '100m' },
      memory: { request: '256Mi', limit: '1Gi' },
      mounts: [claim.mountAt('/data'), emptyDir('tmp', '/tmp', '64Mi')],
      startupProbe: {
        httpGet: { path: LIVE, port: k8s.IntOrString.fromString('s3') },
        periodSeconds: 2,
        failureThreshold: 60,
      },
      readinessProbe: { httpGet: { path: READY, port: k8s.IntOrString.fromString('s3') }, periodSeconds: 5 },
      livenessProbe: {
        httpGet: { path: LIVE, port: k8s.IntOrString.fromString('s3') },
        periodSeconds: 20,
        timeoutSeconds: 5,
      },
    });
    new Ingress(this, 'ingress', {
      ingress: props.ingress,
      workload: this.server,
      port: 'console',
      login: { user: ROOT, password: root.key('password') },
    });
    this.provisioning = this.provisioningJob();
    this.provisioning.uses({
      endpoint: this.server.endpoint('s3'),
      env: {
        ROOT_PASSWORD: root.key('password'),
        MC_CONFIG_DIR: '/tmp/mc',
        MC_HOST_store: `http://${ROOT}:$(ROOT_PASSWORD)@${this.server.endpoint('s3').host}:9000`,
        BUCKETS: BUCKETS.join(' '),
      },
    });
    minioObservability(this, { ...props, server: this.server });
  }

  client(props: StoreClientProps): Connection {
    const secret = this.props.secrets.generate(
      `minio-${props.name}`,
      { 'access-key': { literal: props.name }, 'secret-key': 'password' },
      credentialNamespaces(props.namespace),
    );
    this.policies.set(props.name, props.buckets);
    this.provisioning.setEnv(`SECRET_KEY_${props.name}`, secret.key('secret-key'));
    const connection = storeConnection({
      endpoint: this.server.endpoint('s3'),
      scheme: 'http',
      region: 'us-east-1',
      accessKey: secret.key('access-key'),
      secretKey: secret.key('secret-key'),
    });
    const address = `${connection.endpoint.host}:${connection.endpoint.port}`;
    const buckets = Object.keys(props.buckets);
    return {
      ...connection,
      waitContainer: waitContainer({
        name: WAIT_FOR_OBJECT_STORE,
        image: images.minioClient,
        command: until(
          buckets.map((bucket) => `mc --quiet ls store/${bucket} >/dev/null`).join(' && '),
          `buckets ${buckets.join(', ')} at ${address}`,
        ),
        env: {
          ...connection.env,
          MC_CONFIG_DIR: '/tmp/mc',
          MC_HOST_store: `http://$(AWS_ACCESS_KEY_ID):$(AWS_SECRET_ACCESS_KEY)@${address}`,
        },
      }),
    };
  }

  bucket(use: BucketUse): string {
    return use;
  }

  /** Creates buckets, keys and policies. It runs again, under a new name, when a client or its rights change. */
  private provisioningJob(): Workload {
    const files = new k8s.KubeConfigMap(this, 'provisioning-files', {
      metadata: { name: 'minio-provision' },
      data: Lazy.any({ produce: () => this.provisioningFiles() }),
    });
    return new Workload(this, 'provisioning', {
      name: 'minio-provision',
      system: 'minio',
      component: 'provision',
      kind: 'Job',
      image: images.minioClient,
      user: MINIO_USER,
      command: ['sh', '/provision/provision.sh'],
      cpu: { request: '10m' },
      // `mc` takes about 100Mi; with a limit of 128Mi it was killed.
      memory: { request: '32Mi', limit: '256Mi' },
      mounts: [
        emptyDir('tmp', '/tmp', '16Mi'),
        {
          path: '/provision',
          readOnly: true,
          volume: { name: 'provision', configMap: { name: files.name } },
          contentHash: () => contentHash(this.provisioningFiles()),
        },
      ],
    });
  }

  private provisioningFiles(): Record<string, string> {
    const policies = [...this.policies]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([client, buckets]) => [`${client}.json`, policy(buckets)]);
    return { ...Object.fromEntries(policies), 'provision.sh': PROVISION };
  }
}

const LIVE = '/minio/health/live';
const READY = '/minio/health/ready';

/** An S3 policy that allows access to these buckets, and to no others. */
function policy(buckets: StoreClientProps['buckets']): string {
  const statements = Object.entries(buckets).flatMap(([bucket, access]) => [
    {
      Effect: 'Allow',
      Action: ['s3:GetBucketLocation', 's3:ListBucket'],
      Resource: [`arn:aws:s3:::${bucket}`],
    },
    { Effect: 'Allow', Action: OBJECT_ACTIONS[access], Resource: [`arn:aws:s3:::${bucket}/*`] },
  ]);
  return `${JSON.stringify({ Version: '2012-10-17', Statement: statements }, null, 2)}\n`;
}

const OBJECT_ACTIONS: Record<BucketAccess, string[]> = {
  read: ['s3:GetObject'],
  write: [
    's3:AbortMultipartUpload',
    's3:DeleteObject',
    's3:GetObject',
    's3:ListMultipartUploadParts',
    's3:PutObject',
  ],
};
