import type { Construct } from 'constructs';
import { z } from 'zod';
import { type Connection, type Endpoint, outsideEndpoint } from '../kubernetes/connection';
import { DefinitionError } from '../definitions/definition-error';
import { parse } from '../definitions/parse';
import { waitContainer } from '../kubernetes/pod-defaults';
import { pythonFile } from '../kubernetes/program';
import type { Bytes } from '../definitions/quantity';
import { rules } from '../definitions/rules';
import { type SecretKey, type SecretRef, secretRefs } from '../definitions/secret-ref';
import { PLATFORM_NAMESPACE } from '../kubernetes/namespaces';
import type { IngressSettings } from '../kubernetes/ingress';
import type { Observability } from '../observability/observability';
import { MinIO } from './minio';
import type { Secrets } from './secrets';

/** The buckets, by what they are for. Their names in an external store may have a prefix. */
export type BucketUse = 'airflow-logs' | 'data' | 'mlflow' | 'models';

/** Whether a client may only read a bucket, or write to it too. */
export type BucketAccess = 'read' | 'write';

export interface StoreClientProps {
  readonly name: string;
  readonly buckets: Readonly<Partial<Record<BucketUse, BucketAccess>>>;
  /**
   * Namespace of the client's pods.
   * @default mlops-platform
   */
  readonly namespace?: string;
}

/** An S3 store in which every client has a key of its own, for its own buckets alone. */
export interface IObjectStore {
  /** Address and key of one client, as the `AWS_*` variables that S3's clients read. */
  client(props: StoreClientProps): Connection;
  /** The name of a bucket in this store. */
  bucket(use: BucketUse): string;
}

/** What an object store gets from the platform. */
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
   * Size of the volume, in Mi, Gi or Ti.
   * @default 50Gi
   */
  readonly storage?: Bytes;
}

/** An S3 store that somebody else runs. */
export interface ExternalObjectStoreProps {
  /** URL without a path: `https://s3.eu-central-1.amazonaws.com`. */
  readonly endpoint: string;
  /**
   * Region.
   * @default us-east-1
   */
  readonly region?: string;
  /**
   * Prefix of each bucket's name, at most 41 characters. Names of S3 buckets are global, so that others may have taken
   * `data`.
   * @default - none
   */
  readonly bucketPrefix?: string;
  /**
   * The Secret of each client, `airflow`, `mlflow`, `steps` and `triton`, with the keys `access-key` and
   * `secret-key`. That of `steps` is in mlops-steps, the others are in mlops-platform. Create the Secrets and the
   * buckets before `kubectl apply`. Each key must be allowed to list, read and write its client's buckets; that of
   * `steps` must also be allowed to delete in `data`, because `monitor` deletes old payloads.
   */
  readonly credentials: Readonly<Record<string, SecretRef>>;
}

/** The S3 store that holds batches of data, artifacts, models and logs: in the cluster, or an external one. */
export abstract class ObjectStore {
  /** Secrets that must exist in the cluster before `kubectl apply`. */
  abstract readonly externalSecrets: readonly SecretRef[];

  /** A MinIO that the platform runs. */
  static inCluster(props: InClusterObjectStoreProps = {}): ObjectStore {
    const { storage } = parse(inClusterSchema, props, 'ObjectStore.inCluster');
    return {
      externalSecrets: [],
      bind: (scope, context) => new MinIO(scope, 'minio', { ...context, storage }),
    };
  }

  /** An S3 store that somebody else runs. */
  static external(props: ExternalObjectStoreProps): ObjectStore {
    const { credentials } = parse(externalSchema, props, 'ObjectStore.external');
    return { externalSecrets: Object.values(credentials), bind: () => new ExternalObjectStore(props) };
  }

  /** Creates the objects of the store; of an external one there are none. */
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

/** An S3 store that somebody else runs. */
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
        `needs a Secret for the client '${props.name}'`,
        Object.keys(this.props.credentials),
      );
    }
    const port = Number(this.url.port || (this.url.protocol === 'https:' ? 443 : 80));
    const connection = storeConnection({
      endpoint: outsideEndpoint(this.url.hostname, port),
      scheme: this.url.protocol.slice(0, -1),
      region: this.props.region ?? 'us-east-1',
      accessKey: secret.key('access-key'),
      secretKey: secret.key('secret-key'),
    });
    const buckets = Object.keys(props.buckets).map((use) => this.bucket(use as BucketUse));
    return {
      ...connection,
      // In the client's own image, which has boto3: it asks in the same way as the client does, and no pod needs the
      // image of MinIO's client, whose project is archived.
      waitContainer: waitContainer({
        name: WAIT_FOR_OBJECT_STORE,
        command: ['python', '-c', pythonFile('programs/wait_for_buckets.py'), ...buckets],
        env: connection.env,
      }),
    };
  }

  bucket(use: BucketUse): string {
    return `${this.props.bucketPrefix ?? ''}${use}`;
  }
}

/** Name of the init container that lists each of the client's buckets with the client's own key. */
export const WAIT_FOR_OBJECT_STORE = 'wait-for-object-store';

/** Address and key in the variables that S3's clients read. */
export function storeConnection(props: {
  readonly endpoint: Endpoint;
  readonly scheme: string;
  readonly region: string;
  readonly accessKey: SecretKey;
  readonly secretKey: SecretKey;
}): Connection {
  const { endpoint, scheme } = props;
  return {
    endpoint,
    env: {
      AWS_ACCESS_KEY_ID: props.accessKey,
      AWS_SECRET_ACCESS_KEY: props.secretKey,
      AWS_DEFAULT_REGION: props.region,
      AWS_ENDPOINT_URL_S3: `${scheme}://${endpoint.host}:${endpoint.port}`,
    },
  };
}

/** Namespaces of a client's Secret: the platform's, where MinIO's provisioning Job reads it, and that of its pods. */
export function credentialNamespaces(namespace: string = PLATFORM_NAMESPACE): string[] {
  return namespace === PLATFORM_NAMESPACE ? [PLATFORM_NAMESPACE] : [PLATFORM_NAMESPACE, namespace];
}
