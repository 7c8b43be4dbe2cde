/** `npm run deploy`: applies an environment, waits until all of it runs, and prints its progress. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { NAMESPACES } from '../../lib/kubernetes/namespaces';
import { applyFolder, dryRun } from './platform/apply';
import { environmentFolder, runningEnvironment } from './platform/environments';
import { Failure, run } from '../command';
import { list, tryKubectl } from './platform/kubectl';
import { appliedObjects, DIST } from './platform/manifests';
import { stale } from './platform/stale';
import { reason, report } from './platform/trouble';
import { wantedWorkloads, type Workload, workloads } from './platform/workloads';

const HELP = `usage: npm run deploy [-- [ENVIRONMENT] [--timeout MINUTES] [--except WORKLOAD]...]

Applies dist/ and waits until everything runs. Without a name it takes the
environment that the cluster runs; the first time, the workstation where the
cluster has GPUs, and the laptop where it has none. Each folder of dist/ is
another environment.

  --timeout MINUTES   when to give up waiting (20)
  --except WORKLOAD   do not wait for it: deployment/grafana, say; may be repeated
  --switch            put another environment over the one that the cluster runs
  --dry-run           say what would be applied, and apply nothing

KUBECTL names another kubectl, with leading arguments: KUBECTL='k3s kubectl'.`;

const OPTIONS = ['timeout', 'except', 'switch', 'dry-run'] as const;

const SECONDS_BETWEEN_LOOKS = 2;
const SECONDS_BETWEEN_REMINDERS = 30;

void run(async () => {
  const { values, positionals } = options();
  if (values.help) return console.log(HELP);
  refuseSwallowedOptions(positionals);
  const environment = positionals[0] ?? choose();
  const folder = environmentFolder(environment, foldersOf(DIST));
  const minutes = Number(values.timeout);
  if (!(minutes > 0))
    throw new Failure(`--timeout must be a number of minutes above 0, got '${values.timeout}'`);

  const wanted = wantedWorkloads(appliedObjects(join(DIST, folder)));
  const unknown = values.except.filter((title) => !wanted.includes(title));
  if (unknown.length > 0)
    throw new Failure(
      `--except ${unknown.join(', ')}: there is no such workload; there are\n  ${wanted.join('\n  ')}`,
    );

  if (!values.switch) refuseAnother(environment);

  // With CDK8S_OUTDIR the user has chosen a folder, which need not come from these definitions.
  const why = process.env.CDK8S_OUTDIR === undefined ? await stale(DIST) : undefined;
  if (why !== undefined)
    console.error(`dist/ is applied as it is, but it is not what the definitions say: ${why}`);

  if (values['dry-run'])
    return console.log(`${environment}: ${dryRun(join(DIST, folder))} objects would be applied`);
  const lines = await applyFolder(join(DIST, folder));
  console.log(`${environment}: ${lines.length} objects: ${summary(lines)}`);
  await settle(
    wanted.filter((title) => !values.except.includes(title)),
    minutes * 60,
  );
  console.log(
    `\nEverything runs. A new pipeline makes its first model now; 'npm run status' says when it serves, and where the pages are.`,
  );
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
        switch: { type: 'boolean', default: false },
        'dry-run': { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    throw new Failure(`${(error as Error).message}\n\n${HELP}`);
  }
}

/**
 * Without ' -- ' npm takes an option for its own, and passes only its value on, which would be an environment. A
 * `--dry-run` would then apply everything.
 * @throws Failure where npm has taken an option
 */
function refuseSwallowedOptions(positionals: readonly string[]): void {
  const kept = OPTIONS.filter((name) => process.env[`npm_config_${name.replace('-', '_')}`] !== undefined);
  if (kept.length === 0 && positionals.length < 2) return;
  const got = [...positionals, ...kept.map((name) => `--${name}`)].join(' ');
  throw new Failure(`got '${got}'; options stand behind ' -- ', as in 'npm run deploy -- laptop --dry-run'`);
}

/** The environment that the cluster runs. Where that is not known, the one that fits its nodes. */
function choose(): string {
  const running = runningEnvironment();
  if (typeof running === 'object') {
    console.log(`The cluster runs '${running.name}'.`);
    return running.name;
  }
  if (running === 'unnamed') console.log('The cluster does not say which environment it runs.');
  return detect();
}

/**
 * Refuses to apply another environment than the one that runs: `kubectl apply` removes no object, so that objects of
 * both would remain.
 */
function refuseAnother(environment: string): void {
  const running = runningEnvironment();
  if (typeof running !== 'object' || running.name === environment) return;
  throw new Failure(
    `the cluster runs '${running.name}', not '${environment}': nothing was applied. To put '${environment}' over it, ` +
      `add --switch; what '${running.name}' alone has stays until you delete it`,
  );
}

/**
 * The environment that fits the nodes. Before the device plugin runs, no node offers a GPU; k3s has then already
 * created the RuntimeClass `nvidia` where it found NVIDIA's container toolkit.
 */
function detect(): string {
  const nodes = list<{ status: { allocatable: Record<string, string> } }>('nodes');
  const offered = nodes.some(({ status }) => Number(status.allocatable['nvidia.com/gpu'] ?? 0) > 0);
  const found = offered || tryKubectl('get', 'runtimeclass', 'nvidia').status === 0;
  console.log(found ? 'The cluster has GPUs: the workstation.' : 'The cluster has no GPU: the laptop.');
  return found ? 'workstation' : 'laptop';
}

/** `140 created, 8 unchanged`. */
function summary(lines: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const line of lines) {
    const what = /^\S+ (\w+)/.exec(line)?.[1] ?? 'other';
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return [...counts].map(([what, count]) => `${count} ${what}`).join(', ');
}

/** Waits until all workloads are ready. @throws Failure with pods, events and logs of those that are not in time. */
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
