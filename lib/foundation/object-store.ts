import type { Construct } from 'constructs';
import { z } from 'zod';
import { type Connection, type Endpoint, outsideEndpoint } from '../kubernetes/connection';
import { DefinitionError } from '../definitions/definition-error';
import { images } from '../kubernetes/images';
import { parse } from '../definitions/parse';
import { waitContainer } from '../kubernetes/pod-defaults';
import type { Bytes } from '../definitions/quantity';
import { rules } from '../definitions/rules';
import { type SecretKey, type SecretRef, secretRefs } from '../definitions/secret-ref';
import { PLATFORM_NAMESPACE } from '../kubernetes/namespaces';
import type { IngressSettings } from '../kubernetes/ingress';
import type { Observability } from '../observability/observability';
import { MinIO } from './minio';
import type { Secrets } from './secrets';

/** What each bucket is for; the name in the store may carry a prefix. */
export type BucketUse = 'airflow-logs' | 'data' | 'mlflow' | 'models';

/** Whether a client may only read a bucket, or write to it too. */
export type BucketAccess = 'read' | 'write';

export interface StoreClientProps {
  readonly name: string;
  readonly buckets: Readonly<Partial<Record<BucketUse, BucketAccess>>>;
  /**
   * Where the client's pods run.
   * @default mlops-platform
   */
  readonly namespace?: string;
}

/** Hands every client a key of its own, good for its own buckets alone. */
export interface IObjectStore {
  /** Address and key of one client, as the `AWS_*` variables that S3's clients read. */
  client(props: StoreClientProps): Connection;
  /** The name of a bucket in this store. */
  bucket(use: BucketUse): string;
}

/** What an object store is bound to. */
export interface ObjectStoreContext {
  readonly secrets: Secrets;
  readonly observability: Observability;
  readonly ingress: IngressSettings;
  /** @default - the cluster's default storage class */
  readonly storageClass?: string;
}

/** A MinIO that the platform runs. */
export interface InClusterObjectStoreProps {
  /**
   * Size of its volume.
   * @default 50Gi
   */
  readonly storage?: Bytes;
}

/** An S3 that somebody else runs. */
export interface ExternalObjectStoreProps {
  /** Its address without a path: `https://s3.eu-central-1.amazonaws.com`, say. */
  readonly endpoint: string;
  /**
   * Its region.
   * @default us-east-1
   */
  readonly region?: string;
  /**
   * Put before each bucket's name, because names of S3 buckets are global.
   * @default - nothing
   */
  readonly bucketPrefix?: string;
  /**
   * For each client (`airflow`, `mlflow`, `steps`, `triton`) the Secret with the keys
   * `access-key` and `secret-key`; that of `steps` in mlops-steps. Create them
   * and the buckets before `kubectl apply`.
   */
  readonly credentials: Readonly<Record<string, SecretRef>>;
}

/** Which S3 holds data, artifacts, models and logs. */
export abstract class ObjectStore {
  /** Secrets that the cluster's owner must have put there. */
  abstract readonly externalSecrets: readonly SecretRef[];

  /** A MinIO that the platform runs. */
  static inCluster(props: InClusterObjectStoreProps = {}): ObjectStore {
    const { storage } = parse(inClusterSchema, props, 'ObjectStore.inCluster');
    return {
      externalSecrets: [],
      bind: (scope, context) => new MinIO(scope, 'minio', { ...context, storage }),
    };
  }

  /** An S3 that somebody else runs. */
  static external(props: ExternalObjectStoreProps): ObjectStore {
    const { credentials } = parse(externalSchema, props, 'ObjectStore.external');
    return { externalSecrets: Object.values(credentials), bind: () => new ExternalObjectStore(props) };
  }

  abstract bind(scope: Construct, context: ObjectStoreContext): IObjectStore;
}

const inClusterSchema = z.strictObject({ storage: rules.bytes().default('50Gi') });

const externalSchema = z.strictObject({
  credentials: secretRefs,
  endpoint: z
    .string()
    .regex(
      /^https?:\/\/[A-Za-z0-9.-]+(:\d+)?$/,
      "must be an http(s) URL without a path, as in 'https://s3.eu-central-1.amazonaws.com'",
    )
    .refine((url) => URL.canParse(url), 'must have a port from 1 to 65535'),
  region: z
    .string()
    .regex(/^[a-z0-9-]+$/, "must be a region, as in 'eu-central-1'")
    .default('us-east-1'),
  bucketPrefix: z
    .string()
    .regex(
      /^[a-z0-9][a-z0-9-]{0,40}$/,
      "must begin a bucket's name: lower-case letters, digits and dashes, as in 'acme-mlops-'",
    )
    .optional(),
});

/** An S3 that somebody else runs. */
class ExternalObjectStore implements IObjectStore {
  private readonly url: URL;

  constructor(private readonly props: ExternalObjectStoreProps) {
    this.url = new URL(props.endpoint);
  }

  client(props: StoreClientProps): Connection {
    const secret = this.props.credentials[props.name];
    if (!secret) {
      throw new DefinitionError(
        'objectStore.credentials',
        `needs a Secret for the client '${props.name}'; there are`,
        Object.keys(this.props.credentials),
      );
    }
    const port = Number(this.url.port || (this.url.protocol === 'https:' ? 443 : 80));
    return storeConnection({
      endpoint: outsideEndpoint(this.url.hostname, port),
      scheme: this.url.protocol.slice(0, -1),
      region: this.props.region ?? 'us-east-1',
      accessKey: secret.key('access-key'),
      secretKey: secret.key('secret-key'),
      buckets: Object.keys(props.buckets).map((use) => this.bucket(use as BucketUse)),
    });
  }

  bucket(use: BucketUse): string {
    return `${this.props.bucketPrefix ?? ''}${use}`;
  }
}

/** A connection whose start-up check lists each of the client's buckets with the client's own key. */
export function storeConnection(props: {
  readonly endpoint: Endpoint;
  readonly scheme: string;
  readonly region: string;
  readonly accessKey: SecretKey;
  readonly secretKey: SecretKey;
  readonly buckets: readonly string[];
}): Connection {
  const { endpoint, scheme } = props;
  const address = `${endpoint.host}:${endpoint.port}`;
  const env = {
    AWS_ACCESS_KEY_ID: props.accessKey,
    AWS_SECRET_ACCESS_KEY: props.secretKey,
    AWS_DEFAULT_REGION: props.region,
    AWS_ENDPOINT_URL_S3: `${scheme}://${address}`,
  };
  return {
    endpoint,
    env,
    waitContainer: waitContainer({
      name: 'wait-for-object-store',
      image: images.minioClient,
      check: props.buckets.map((bucket) => `mc --quiet ls store/${bucket} >/dev/null`).join(' && '),
      waitingFor: `buckets ${props.buckets.join(', ')} at ${address}`,
      env: {
        ...env,
        MC_CONFIG_DIR: '/tmp/mc',
        MC_HOST_store: `${scheme}://$(AWS_ACCESS_KEY_ID):$(AWS_SECRET_ACCESS_KEY)@${address}`,
      },
    }),
  };
}

/** The namespaces a client's credentials must be readable in; MinIO's own provisioning reads the first. */
export function credentialNamespaces(namespace: string = PLATFORM_NAMESPACE): string[] {
  return namespace === PLATFORM_NAMESPACE ? [PLATFORM_NAMESPACE] : [PLATFORM_NAMESPACE, namespace];
}
