import type { Construct } from 'constructs';
import { z } from 'zod';
import { type Connection, type Endpoint, type EnvValue, outsideEndpoint } from '../kubernetes/connection';
import { DefinitionError } from '../definitions/definition-error';
import { images } from '../kubernetes/images';
import { parse } from '../definitions/parse';
import { waitContainer } from '../kubernetes/pod-defaults';
import type { Bytes } from '../definitions/quantity';
import { rules } from '../definitions/rules';
import { type SecretKey, type SecretRef, secretRefs } from '../definitions/secret-ref';
import type { Observability } from '../observability/observability';
import { Postgres } from './postgres';
import type { Secrets } from './secrets';

/** Hands every client a database and a role of its own. */
export interface IDatabase {
  /** Address, role and password of one client, as libpq's `PG*` variables. */
  client(name: string): Connection;
}

/** What a database is bound to: the secrets it may generate and where it says what it measures. */
export interface DatabaseContext {
  readonly secrets: Secrets;
  readonly observability: Observability;
  /** @default - the cluster's default storage class */
  readonly storageClass?: string;
}

/** A Postgres that the platform runs. */
export interface InClusterDatabaseProps {
  /**
   * Size of its volume.
   * @default 10Gi
   */
  readonly storage?: Bytes;
}

/** A Postgres that somebody else runs. */
export interface ExternalDatabaseProps {
  /** Its host name, as in `db.example.com`. */
  readonly host: string;
  /**
   * Its port.
   * @default 5432
   */
  readonly port?: number;
  /**
   * For each client (`airflow`, `mlflow`) the Secret with the keys `database`,
   * `username` and `password`. Create them, the databases and the roles before
   * `kubectl apply`; passwords of letters and digits, because they stand in URLs.
   */
  readonly credentials: Readonly<Record<string, SecretRef>>;
}

/** Which Postgres holds the platform's metadata. */
export abstract class Database {
  /** Secrets that the cluster's owner must have put there. */
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
        `needs a Secret for the client '${name}'; there are`,
        Object.keys(this.props.credentials),
      );
    }
    return postgresConnection(outsideEndpoint(this.props.host, this.props.port), {
      database: secret.key('database'),
      username: secret.key('username'),
      password: secret.key('password'),
    });
  }
}

/** A connection whose start-up check logs in with the client's own role, into its own database. */
export function postgresConnection(
  endpoint: Endpoint,
  login: { database: EnvValue; username: EnvValue; password: SecretKey },
): Connection {
  const env = {
    PGHOST: endpoint.host,
    PGPORT: String(endpoint.port),
    PGDATABASE: login.database,
    PGUSER: login.username,
    PGPASSWORD: login.password,
  };
  return {
    endpoint,
    env,
    waitContainer: waitContainer({
      name: 'wait-for-postgres',
      image: images.postgres,
      check: `psql --no-psqlrc --quiet --command 'select 1' >/dev/null`,
      waitingFor: `Postgres at ${endpoint.host}:${endpoint.port}`,
      env: { ...env, PGCONNECT_TIMEOUT: '5' },
    }),
  };
}
