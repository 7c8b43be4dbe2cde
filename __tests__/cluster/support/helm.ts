import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { PLATFORM_NAMESPACE } from '../../../lib/kubernetes/namespaces';
import type { Cluster } from './cluster';

const SCRIPTS = join(__dirname, '../../../scripts');

export const NAMESPACE = ['--namespace', PLATFORM_NAMESPACE];

/**
 * The helm that bootstrap.sh installs, with its own configuration and cache below `folder`.
 * @returns a function that runs it inside the cluster's node and returns what it printed; it throws where helm fails
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
