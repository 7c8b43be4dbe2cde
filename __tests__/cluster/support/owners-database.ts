import { randomUUID } from 'node:crypto';
import { images } from '../../../lib/kubernetes/images';
import { NODE } from './pipelines';
import { cluster } from './platform';
import { until } from './prometheus';

/** Not Postgres' default, so that the NetworkPolicy of the step `collect` must open the port that the source names. */
export const PORT = 5433;

const NAMESPACE = 'owners-database';
const IN = `--namespace=${NAMESPACE}`;
const DATABASE = 'warehouse';
const READER = 'reader';

/**
 * Starts a Postgres that does not belong to the platform, on the node's own address: pods reach it like a server
 * outside the cluster.
 * @param schema SQL that makes its tables
 * @returns the URL with the login of a role that may only read
 */
export function startDatabase(schema: string): string {
  const password = randomUUID();
  apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } }, pod());
  cluster.kubectl('wait', IN, 'pod/postgres', '--for=condition=Ready', '--timeout=2m');
  sql(`
    ${schema}
    CREATE ROLE ${READER} LOGIN PASSWORD '${password}';
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${READER};
  `);
  return `postgresql://${READER}:${password}@${NODE}:${PORT}/${DATABASE}`;
}

/** Writes the database's URL into a Secret, under the key that the platform reads. */
export function putSecret(name: string, url: string): void {
  apply({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: 'mlops-steps' },
    stringData: { url },
  });
}

/** Deletes that Secret and the database. */
export function removeDatabase(secret: string): void {
  cluster.kubectl('delete', '--namespace=mlops-steps', '--ignore-not-found', 'secret', secret);
  cluster.kubectl('delete', '--ignore-not-found', 'namespace', NAMESPACE);
}

/** Runs SQL statements as the superuser. @returns what psql printed @throws Error when one fails */
export function sql(statements: string): string {
  const psql = ['psql', `--port=${PORT}`, '--username=postgres', `--dbname=${DATABASE}`];
  const { status, output } = cluster.try(
    ['exec', IN, '--stdin', 'pod/postgres', '--', ...psql, '--set=ON_ERROR_STOP=1', '-At'],
    statements,
  );
  if (status !== 0) throw new Error(output);
  return output;
}

function pod() {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'postgres', namespace: NAMESPACE },
    spec: {
      hostNetwork: true,
      terminationGracePeriodSeconds: 5,
      containers: [
        {
          name: 'postgres',
          image: images.postgres,
          args: [`--port=${PORT}`],
          env: [
            { name: 'POSTGRES_PASSWORD', value: randomUUID() },
            { name: 'POSTGRES_DB', value: DATABASE },
          ],
          // By its address, because the server listens only on its socket while the database is made.
          readinessProbe: {
            exec: { command: ['pg_isready', '--host=127.0.0.1', `--port=${PORT}`] },
            periodSeconds: 1,
          },
        },
      ],
    },
  };
}

function apply(...items: object[]): void {
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
  // A new namespace has no ServiceAccount for a moment, and pods are refused until it has one.
  const { status, output } = until(
    () => cluster.try(['apply', '--filename', '-'], list),
    (ended) => ended.status === 0,
    30,
  );
  if (status !== 0) throw new Error(output);
}
