import { spawnSync } from 'node:child_process';
import { Failure } from '../../command';

/** How kubectl ended. */
export interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The kubectl that `$KUBECTL` names, with its leading arguments, or the one on the PATH. */
const [PROGRAM, ...LEADING] = (process.env.KUBECTL ?? 'kubectl').split(' ');

/** Runs kubectl, whatever its exit status. @throws Failure where kubectl cannot be started. */
export function tryKubectl(...args: string[]): Ended {
  return runKubectl(args);
}

/**
 * Runs kubectl with objects on its standard input: `send(['create'], [pod])`.
 * @returns what it printed
 * @throws Failure with its message where it exits with another status than 0.
 */
export function send(args: readonly string[], objects: readonly object[]): string {
  const all = { apiVersion: 'v1', kind: 'List', items: objects };
  return printed([...args, '--filename', '-'], JSON.stringify(all));
}

function runKubectl(args: string[], input = ''): Ended {
  const { status, stdout, stderr, error } = spawnSync(PROGRAM!, [...LEADING, ...args], {
    encoding: 'utf8',
    input,
    maxBuffer: 64 * 2 ** 20,
  });
  if (error) {
    throw new Failure(`cannot start '${PROGRAM}': ${error.message}. Install kubectl, or name it in KUBECTL`);
  }
  return { status: status ?? -1, stdout, stderr };
}

/**
 * Runs kubectl.
 * @returns what it printed
 * @throws Failure with its message where it exits with another status than 0.
 */
export function kubectl(...args: string[]): string {
  return printed(args);
}

function printed(args: string[], input?: string): string {
  const { status, stdout, stderr } = runKubectl(args, input);
  const [away] = stderr.match(NO_CLUSTER) ?? [];
  if (status !== 0 && away !== undefined)
    throw new Failure(`kubectl reaches no cluster: ${away}\n${WAYS_OUT}`);
  if (status !== 0) throw new Failure(`kubectl ${args.join(' ')} failed:\n${stderr.trim()}`);
  return stdout;
}

/** kubectl's message where it reaches no cluster, which it repeats five times. */
const NO_CLUSTER = /(The connection to the server \S+ was refused|Unable to connect to the server).*/;

const WAYS_OUT = `Where one runs, say where its kubeconfig is, as in 'export KUBECONFIG=~/.kube/config'; where
none does, 'sudo scripts/bootstrap.sh' makes one on this machine (docs/bootstrap.md).`;

/** Objects of some kinds, everywhere or in one namespace. */
export function list<T>(kinds: string, ...args: string[]): T[] {
  return (JSON.parse(kubectl('get', kinds, ...args, '--output=json')) as { items: T[] }).items;
}
