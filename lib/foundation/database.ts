import type { Construct } from 'constructs';
import { z } from 'zod';
import { type Connection, type Endpoint, type EnvValue, outsideEndpoint } from '../kubernetes/connection';
import { DefinitionError } from '../definitions/definition-error';
import { parse } from '../definitions/parse';
import { waitContainer } from '../kubernetes/pod-defaults';
import { pythonFile } from '../kubernetes/program';
import type { Bytes } from '../definitions/quantity';
import { rules } from '../definitions/rules';
import { type SecretKey, type SecretRef, secretRefs } from '../definitions/secret-ref';
import type { Observability } from '../observability/observability';
import { Postgres } from './postgres';
import type { Secrets } from './secrets';

/** A Postgres in which every client has a database and a role of its own. */
export interface IDatabase {
  /** Address, role and password of one client, as libpq's `PG*` variables. */
  client(name: string): Connection;
}

/** What a database gets from the platform. */
export interface DatabaseContext {
  readonly secrets: Secrets;
  readonly observability: Observability;
  /** @default - the cluster's default storage class */
  readonly storageClass?: string;
}

/** A Postgres that the platform runs. */
export interface InClusterDatabaseProps {
  /**
   * Size of the volume, in Mi, Gi or Ti.
   * @default 10Gi
   */
  readonly storage?: Bytes;
}

/** A Postgres that somebody else runs. */
export interface ExternalDatabaseProps {
  /** Host name or IPv4 address: `db.example.com`. */
  readonly host: string;
  /**
   * Port.
   * @default 5432
   */
  readonly port?: number;
  /**
   * The Secret of each client, `airflow` and `mlflow`, in mlops-platform, with the keys `database`, `username` and
   * `password`. Create the Secrets, the databases and the roles before `kubectl apply`. Use passwords of letters and
   * digits, because they become part of URLs.
   */
  readonly credentials: Readonly<Record<string, SecretRef>>;
}

/** The Postgres that holds the metadata of Airflow and MLflow: one in the cluster, or an external one. */
export abstract class Database {
  /** Secrets that must exist in the cluster before `kubectl apply`. */
  abstract readonly externalSecrets: readonly SecretRef[];

  /** A Postgres that the platform runs. */
  static inCluster(props: InClusterDatabaseProps = {}): Database {
    const { storage } = parse(inClusterSchema, props, 'Database.inCluster');
    return {
      externalSecrets: [],
      bind: (scope, context) => new Postgres(scope, 'postgres', { ...context, storage }),
    };
  }

  /** A Postgres that somebody else runs. */
  static external(props: ExternalDatabaseProps): Database {
    const { host, port } = parse(externalSchema, props, 'Database.external');
    return {
      externalSecrets: Object.values(props.credentials),
      bind: () => new ExternalDatabase({ ...props, host, port }),
    };
  }

  /** Creates the objects of the database; of an external one there are none. */
  abstract bind(scope: Construct, context: DatabaseContext): IDatabase;
}

const inClusterSchema = z.strictObject({ storage: rules.bytes().default('10Gi') });

const externalSchema = z.strictObject({
  credentials: secretRefs,
  host: rules.host(),
  port: rules.whole(1, 65535).default(5432),
});

/** A Postgres that somebody else runs. */
class ExternalDatabase implements IDatabase {
  constructor(private readonly props: ExternalDatabaseProps & { readonly port: number }) {}

  client(name: string): Connection {
    const secret = this.props.credentials[name];
    if (!secret) {
      throw new DefinitionError(
        'database.credentials',
        `needs a Secret for the client '${name}'`,
        Object.keys(this.props.credentials),
      );
    }
    const connection = postgresConnection(outsideEndpoint(this.props.host, this.props.port), {
      database: secret.key('database'),
      username: secret.key('username'),
      password: secret.key('password'),
    });
    return {
      ...connection,
      // In the client's own image, which has psycopg2, so that no pod needs the image of a server that runs elsewhere.
      waitContainer: waitContainer({
        name: WAIT_FOR_POSTGRES,
        command: ['python', '-c', pythonFile('programs/wait_for_postgres.py')],
        env: connection.env,
      }),
    };
  }
}

/** Name of the init container that logs in with the client's own role, into its own database. */
export const WAIT_FOR_POSTGRES = 'wait-for-postgres';

/** Address and login in libpq's variables. */
export function postgresConnection(
  endpoint: Endpoint,
  login: { database: EnvValue; username: EnvValue; password: SecretKey },
): Connection {
  return {
    endpoint,
    env: {
      PGHOST: endpoint.host,
      PGPORT: String(endpoint.port),
      PGDATABASE: login.database,
      PGUSER: login.username,
      PGPASSWORD: login.password,
    },
  };
}
