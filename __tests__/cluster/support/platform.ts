import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { DIST } from '../../../scripts/cli/platform/manifests';
import { Cluster } from './cluster';

/** The node on which the whole platform runs; setup.ts starts it once for every suite. */
export const cluster = new Cluster(process.env.CLUSTER_NAME ?? 'platform', false);

export const LAPTOP = join(DIST, 'laptop');
export const PLATFORM = '--namespace=mlops-platform';

/** Grafana's server can be had from no package registry; its pod is the one that cannot run here. */
export const WITHOUT_IMAGE = ['deployment/grafana'];

/** One generated value, decoded. */
export function secret(name: string, key: string): string {
  const { data } = cluster.get<{ data: Record<string, string> }>(`secret/${name}`, PLATFORM);
  return Buffer.from(data[key]!, 'base64').toString();
}

/** The address of a Service inside the node. */
export function serviceUrl(name: string, port: number): string {
  const { spec } = cluster.get<{ spec: { clusterIP: string } }>(`service/${name}`, PLATFORM);
  return `http://${spec.clusterIP}:${port}`;
}

/** Runs a line of Python in a pod of the platform, which has the clients at hand. */
export function python(workload: string, program: string): string {
  return cluster.kubectl('exec', PLATFORM, workload, '--', 'python', '-c', program);
}

/** Runs a query as Postgres' superuser. */
export function psql(database: string, query: string): string {
  const command = ['psql', '--username=postgres', `--dbname=${database}`, '-Atc', query];
  return cluster.kubectl('exec', PLATFORM, 'statefulset/postgres', '--', ...command);
}

/** Runs a command of package.json as a person would. */
export function npm(...command: string[]) {
  return spawnSync('npm', ['run', '--silent', ...command], {
    encoding: 'utf8',
    env: { ...process.env, ...cluster.kubectlEnvironment() },
  });
}
