import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { PLATFORM_NAMESPACE } from '../../../lib/kubernetes/namespaces';
import type { Cluster } from './cluster';

const SCRIPTS = join(__dirname, '../../../scripts');

export const NAMESPACE = ['--namespace', PLATFORM_NAMESPACE];

/**
 * The helm that bootstrap.sh installs, with a home of its own below `folder`.
 * @returns what runs it inside the cluster's node, and throws when it exits with anything but 0
 */
export function helmOf(cluster: Cluster, folder: string): (...args: string[]) => string {
  const program = execFileSync(
    'bash',
    ['-c', `. ${SCRIPTS}/cluster/lib.sh && . ${SCRIPTS}/cluster/binaries.sh && helm`],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
  ).trim();
  const homes = ['CACHE', 'CONFIG', 'DATA'].map((each) => `HELM_${each}_HOME=${join(folder, 'helm')}`);
  return (...args) => cluster.enter('env', ...homes, program, ...args);
}
