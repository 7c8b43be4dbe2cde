/** `npm run deploy`: applies an environment and waits until all of it runs, saying what happens. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { NAMESPACES } from '../lib/kubernetes/namespaces';
import { environmentFolder } from './platform/environments';
import { Failure, kubectl, list, run, tryKubectl } from './platform/kubectl';
import { appliedObjects, customResources, DIST } from './platform/manifests';
import { stale } from './platform/stale';
import { reason, report } from './platform/trouble';
import { wantedWorkloads, type Workload, workloads } from './platform/workloads';

const HELP = `usage: npm run deploy [-- [ENVIRONMENT] [--timeout MINUTES] [--except WORKLOAD]...]

Applies dist/ and waits until everything runs. Without a name it takes the
workstation where the cluster has GPUs, and the laptop where it has none. Each
folder of dist/ is another environment.

  --timeout MINUTES   when to give up waiting (20)
  --except WORKLOAD   do not wait for it: deployment/grafana, say; may be repeated
  --dry-run           say what would be applied, and apply nothing

KUBECTL names another kubectl, with leading arguments: KUBECTL='k3s kubectl'.`;

const OPTIONS = ['timeout', 'except', 'dry-run'] as const;

const SECONDS_BETWEEN_LOOKS = 2;
const SECONDS_BETWEEN_REMINDERS = 30;

void run(async () => {
  const { values, positionals } = options();
  if (values.help) return console.log(HELP);
  refuseLost(positionals);
  const environment = positionals[0] ?? detect();
  const folder = environmentFolder(environment, foldersOf(DIST));
  const minutes = Number(values.timeout);
  if (!(minutes > 0))
    throw new Failure(`--timeout must be a number of minutes above 0, got '${values.timeout}'`);

  const objects = appliedObjects(join(DIST, folder));
  const wanted = wantedWorkloads([...objects, ...customResources(objects)]);
  const unknown = values.except.filter((title) => !wanted.includes(title));
  if (unknown.length > 0)
    throw new Failure(
      `--except ${unknown.join(', ')}: there is no such workload; there are\n  ${wanted.join('\n  ')}`,
    );

  // A dist/ of somebody's own choice need not be of these definitions.
  const why = process.env.CDK8S_OUTDIR === undefined ? await stale(DIST) : undefined;
  if (why !== undefined)
    console.error(`dist/ is applied as it is, but it is not what the definitions say: ${why}`);

  const args = [
    'apply',
    '--filename',
    join(DIST, folder),
    ...(values['dry-run'] ? ['--dry-run=client'] : []),
  ];
  const { total, counts } = summary(kubectl(...args));
  // Without the cluster's own view of it, "configured" is said of each object that is there.
  console.log(`${environment}: ${total} objects${values['dry-run'] ? ' would be applied' : `: ${counts}`}`);
  if (!values['dry-run']) {
    await settle(
      wanted.filter((title) => !values.except.includes(title)),
      minutes * 60,
    );
    console.log(
      `\nEverything runs. A new pipeline makes its first model now; 'npm run status' says when it serves, and where the pages are.`,
    );
  }
});

/** `dist/` itself and the folders in it. */
function foldersOf(dist: string): string[] {
  const inside = existsSync(dist) ? readdirSync(dist, { withFileTypes: true }) : [];
  return ['.', ...inside.filter((entry) => entry.isDirectory()).map(({ name }) => name)];
}

function options() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        timeout: { type: 'string', default: '20' },
        except: { type: 'string', multiple: true, default: [] },
        'dry-run': { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    throw new Failure(`${(error as Error).message}\n\n${HELP}`);
  }
}

/**
 * Without ' -- ' npm keeps an option to itself, and passes its value on as if it were an environment.
 * @throws Failure before anything is applied that was only to be looked at
 */
function refuseLost(positionals: readonly string[]): void {
  const kept = OPTIONS.filter((name) => process.env[`npm_config_${name.replace('-', '_')}`] !== undefined);
  if (kept.length === 0 && positionals.length < 2) return;
  const got = [...positionals, ...kept.map((name) => `--${name}`)].join(' ');
  throw new Failure(`got '${got}'; options stand behind ' -- ', as in 'npm run deploy -- laptop --dry-run'`);
}

/** k3s makes the RuntimeClass where it finds NVIDIA's toolkit, before any device plugin offers a GPU. */
function detect(): string {
  const nodes = list<{ status: { allocatable: Record<string, string> } }>('nodes');
  const offered = nodes.some(({ status }) => Number(status.allocatable['nvidia.com/gpu'] ?? 0) > 0);
  const found = offered || tryKubectl('get', 'runtimeclass', 'nvidia').status === 0;
  console.log(found ? 'The cluster has GPUs: the workstation.' : 'The cluster has no GPU: the laptop.');
  return found ? 'workstation' : 'laptop';
}

/** 148 and `140 created, 8 unchanged`. */
function summary(output: string): { total: number; counts: string } {
  const counts = new Map<string, number>();
  const lines = output.split('\n').filter((line) => line !== '');
  for (const line of lines) {
    const what = /^\S+ (\w+)/.exec(line)?.[1] ?? 'other';
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return { total: lines.length, counts: [...counts].map(([what, count]) => `${count} ${what}`).join(', ') };
}

/** Waits for all of them. @throws Failure with pods, events and logs of what is not ready in time. */
async function settle(wanted: readonly string[], seconds: number): Promise<void> {
  const begin = performance.now();
  const elapsed = () => Math.round((performance.now() - begin) / 1000);
  const ready = new Set<string>();
  let reminded = 0;
  for (;;) {
    const now = new Map(workloads(NAMESPACES).map((workload) => [workload.title, workload]));
    for (const title of wanted.filter((title) => now.get(title)?.ready && !ready.has(title))) {
      ready.add(title);
      console.log(`${clock(elapsed())}  ${ready.size}/${wanted.length}  ${title}`);
    }
    const missing = wanted.filter((title) => !now.get(title)?.ready);
    if (missing.length === 0) return;
    if (elapsed() >= seconds) throw new Failure(failure(missing, now, seconds));
    if (elapsed() - reminded >= SECONDS_BETWEEN_REMINDERS) {
      reminded = elapsed();
      console.log(`${clock(reminded)}  waiting for`);
      for (const title of missing) console.log(`          ${title}: ${why(title, now)}`);
    }
    await sleep(SECONDS_BETWEEN_LOOKS * 1000);
  }
}

function why(title: string, now: ReadonlyMap<string, Workload>): string {
  const workload = now.get(title);
  return workload ? reason(workload) : 'not made yet';
}

function failure(missing: readonly string[], now: ReadonlyMap<string, Workload>, seconds: number): string {
  return [
    `not ready after ${clock(seconds).trim()}:`,
    ...missing.map((title) => `  ${title}: ${why(title, now)}`),
    ...missing.flatMap((title) => {
      const workload = now.get(title);
      return workload ? [report(workload)] : [];
    }),
  ].join('\n');
}

function clock(seconds: number): string {
  return `${String(Math.floor(seconds / 60)).padStart(3)}:${String(seconds % 60).padStart(2, '0')}`;
}
