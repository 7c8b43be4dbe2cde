import { spawnSync } from 'node:child_process';
import { report, timed } from './cluster';
import { startNode } from './node';
import { synthesizeLaptop, taxi } from './pipelines';
import { cluster, WITHOUT_IMAGE } from './platform';

/** What a reader of the tutorial sets before the first deploy; `taxi` sets the rest for every project. */
const TUTORIAL = { serving: { traceOneIn: 1 } } as const;

/**
 * Starts a node and deploys the platform with the command that a person types. The taxi pipeline gets its months from
 * a file server on the node, because the node cannot reach their publisher.
 */
export default function setup(_: unknown, { displayName }: { displayName: { name: string } }): void {
  startNode();
  process.env.PLATFORM_DIST = synthesizeLaptop(taxi(displayName.name === 'tutorial' ? TUTORIAL : {}));
  process.env.APPLIED_AT = String(Date.now());
  const except = WITHOUT_IMAGE.flatMap((workload) => ['--except', workload]);
  const { seconds, result } = timed(() =>
    spawnSync('npm', ['run', '--silent', 'deploy', '--', 'laptop', ...except], {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, CDK8S_OUTDIR: process.env.PLATFORM_DIST, ...cluster.kubectlEnvironment() },
    }),
  );
  if (result.status !== 0) throw new Error(`npm run deploy ended with ${result.status}`);
  report(`deployed in ${seconds} s`);
}
