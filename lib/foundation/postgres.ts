import { join } from 'node:path';
import { k8s } from 'cdk8s-plus-28';
import { Construct } from 'constructs';
import type { Connection } from '../kubernetes/connection';
import { images } from '../kubernetes/images';
import { until, waitContainer } from '../kubernetes/pod-defaults';
import type { Bytes } from '../definitions/quantity';
import type { SecretRef } from '../definitions/secret-ref';
import { textFile } from '../definitions/text-file';
import { PersistentVolumeClaim, ConfigFiles, emptyDir } from '../kubernetes/volume';
import { Workload } from '../kubernetes/workload';
import { type DatabaseContext, type IDatabase, postgresConnection, WAIT_FOR_POSTGRES } from './database';
import { postgresObservability } from './postgres-observability';

export interface PostgresProps extends DatabaseContext {
  readonly storage: Bytes;
}

/** The user of the official image. */
const POSTGRES_USER = { uid: 999, gid: 999 };
const DATA = '/var/lib/postgresql/data';
const READY = ['pg_isready', '--quiet', '--host=127.0.0.1', '--username=postgres'];

/** Postgres in the cluster, with a database and a role for each client. */
export class Postgres extends Construct implements IDatabase {
  readonly server: Workload;
  private readonly provisioning: Workload;
  private readonly superuser: SecretRef;

  constructor(
    scope: Construct,
    id: string,
    private readonly props: PostgresProps,
  ) {
    super(scope, id);
    this.superuser = props.secrets.generate('postgres-superuser', { password: 'password' });
    const claim = new PersistentVolumeClaim(this, 'data', {
      name: 'postgres-data',
      size: props.storage,
      storageClass: props.storageClass,
    });
    this.server = new Workload(this, 'server', {
      name: 'postgres',
      system: 'postgres',
      component: 'server',
      kind: 'StatefulSet',
      image: images.postgres,
      user: POSTGRES_USER,
      ports: { postgres: 5432 },
      env: {
        POSTGRES_PASSWORD: this.superuser.key('password'),
        POSTGRES_INITDB_ARGS: '--auth-host=scram-sha-256 --data-checksums',
        // Below the mount point, which may contain lost+found: initdb refuses a folder that is not empty.
        PGDATA: `${DATA}/pgdata`,
      },
      cpu: { request: '100m' },
      memory: { request: '256Mi', limit: '1Gi' },
      mounts: [
        claim.mountAt(DATA),
        emptyDir('run', '/var/run/postgresql', '16Mi'),
        emptyDir('tmp', '/tmp', '256Mi'),
        {
          path: '/dev/shm',
          volume: {
            name: 'shm',
            emptyDir: { medium: 'Memory', sizeLimit: k8s.Quantity.fromString('128Mi') },
          },
        },
      ],
      startupProbe: { exec: { command: READY }, periodSeconds: 2, failureThreshold: 90 },
      readinessProbe: { exec: { command: READY }, periodSeconds: 5, timeoutSeconds: 3 },
      livenessProbe: { exec: { command: READY }, periodSeconds: 20, timeoutSeconds: 5, failureThreshold: 6 },
      // A fast shutdown, which ends open sessions. At SIGTERM Postgres waits until every client has disconnected.
      lifecycle: {
        preStop: { exec: { command: ['sh', '-c', 'pg_ctl stop --pgdata "$PGDATA" --mode fast --wait'] } },
      },
      terminationGracePeriodSeconds: 120,
    });
    this.provisioning = this.provisioningJob();
    postgresObservability(this, { ...props, database: this });
  }

  client(name: string): Connection {
    return this.connect(name, name);
  }

  /** A role that may read every statistic and no data. */
  monitoringClient(): Connection {
    return this.connect('monitoring', 'postgres');
  }

  private connect(name: string, database: string): Connection {
    const secret = this.props.secrets.generate(`postgres-${name}`, { password: 'password' });
    this.provisioning.setEnv(`ROLE_PASSWORD_${name}`, secret.key('password'));
    return this.login({ database, username: name, password: secret.key('password') });
  }

  private login(login: Parameters<typeof postgresConnection>[1]): Connection {
    const connection = postgresConnection(this.server.endpoint('postgres'), login);
    const { host, port } = connection.endpoint;
    return {
      ...connection,
      waitContainer: waitContainer({
        name: WAIT_FOR_POSTGRES,
        image: images.postgres,
        command: until(
          `psql --no-psqlrc --quiet --command 'select 1' >/dev/null`,
          `Postgres at ${host}:${port}`,
        ),
        env: { ...connection.env, PGCONNECT_TIMEOUT: '5' },
      }),
    };
  }

  /** Creates roles and databases. It runs again, under a new name, when a client is added. */
  private provisioningJob(): Workload {
    const files = new ConfigFiles(this, 'provisioning-files', {
      name: 'postgres-provision',
      files: { 'provision.sh': textFile(join(__dirname, 'provision-postgres.sh')) },
    });
    const job = new Workload(this, 'provisioning', {
      name: 'postgres-provision',
      system: 'postgres',
      component: 'provision',
      kind: 'Job',
      image: images.postgres,
      user: POSTGRES_USER,
      command: ['sh', '/provision/provision.sh'],
      cpu: { request: '10m' },
      memory: { request: '32Mi', limit: '128Mi' },
      mounts: [emptyDir('tmp', '/tmp', '16Mi'), files.mountAt('/provision')],
    });
    job.uses(
      this.login({ database: 'postgres', username: 'postgres', password: this.superuser.key('password') }),
    );
    return job;
  }
}
