import { spawnSync } from 'node:child_process';

/** How kubectl ended. */
export interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The kubectl that `$KUBECTL` names, with its leading arguments, or the one on the PATH. */
const [PROGRAM, ...LEADING] = (process.env.KUBECTL ?? 'kubectl').split(' ');

/** @throws when kubectl itself cannot be started. */
export function tryKubectl(...args: string[]): Ended {
  return runKubectl(args);
}

/**
 * Creates an object from its JSON.
 * @throws Failure with what kubectl said, when it exits with anything but 0.
 */
export function create(object: object): void {
  const { status, stderr } = runKubectl(['create', '--filename', '-'], JSON.stringify(object));
  if (status !== 0) throw new Failure(`kubectl create failed:\n${stderr.trim()}`);
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

/** @throws Failure with what kubectl said, when it exits with anything but 0. */
export function kubectl(...args: string[]): string {
  const { status, stdout, stderr } = tryKubectl(...args);
  if (status !== 0) throw new Failure(`kubectl ${args.join(' ')} failed:\n${stderr.trim()}`);
  return stdout;
}

/** Objects of some kinds, everywhere or in one namespace. */
export function list<T>(kinds: string, ...args: string[]): T[] {
  return (JSON.parse(kubectl('get', kinds, ...args, '--output=json')) as { items: T[] }).items;
}

/** Something a person must see to; its message is all they need, no stack. */
export class Failure extends Error {}

/** Runs a command line's main function and ends with a message instead of a stack. */
export async function run(main: () => Promise<void> | void): Promise<void> {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
