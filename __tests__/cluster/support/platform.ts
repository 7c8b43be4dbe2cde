import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { DIST } from '../../../scripts/cli/platform/manifests';
import { Cluster } from './cluster';

/** The node on which the whole platform runs; setup.ts starts it once for all suites of a project. */
export const cluster = new Cluster(process.env.CLUSTER_NAME ?? 'platform', false);

export const LAPTOP = join(DIST, 'laptop');
export const PLATFORM = '--namespace=mlops-platform';

/** Workloads whose image the tests' cluster does not have: no package registry offers Grafana's server. */
export const WITHOUT_IMAGE = ['deployment/grafana'];

/** One value of a Secret of the platform, decoded. */
export function secret(name: string, key: string): string {
  const { data } = cluster.get<{ data: Record<string, string> }>(`secret/${name}`, PLATFORM);
  return Buffer.from(data[key]!, 'base64').toString();
}

/** The address of a Service inside the node. */
export function serviceUrl(name: string, port: number, namespace = PLATFORM): string {
  const { spec } = cluster.get<{ spec: { clusterIP: string } }>(`service/${name}`, namespace);
  return `http://${spec.clusterIP}:${port}`;
}

/** Runs a Python program in a pod of the platform, where the client libraries are installed. */
export function python(workload: string, program: string): string {
  return cluster.kubectl('exec', PLATFORM, workload, '--', 'python', '-c', program);
}

/** Runs a query as Postgres' superuser. */
export function psql(database: string, query: string): string {
  const command = ['psql', '--username=postgres', `--dbname=${database}`, '-Atc', query];
  return cluster.kubectl('exec', PLATFORM, 'statefulset/postgres', '--', ...command);
}

/** Runs a script of package.json as a person would, with the cluster's kubectl. */
export function npm(...command: string[]) {
  return spawnSync('npm', ['run', '--silent', ...command], {
    encoding: 'utf8',
    env: { ...process.env, ...cluster.kubectlEnvironment() },
  });
}
