import { spawnSync } from 'node:child_process';
import { basename, join } from 'node:path';

const SCRIPT = join(__dirname, '../../../scripts/cluster/cluster.sh');

/** How a command ended. */
export interface Ended {
  readonly status: number;
  readonly output: string;
  readonly lines: readonly string[];
}

/** A fresh Kubernetes of our own: `scripts/cluster` has what it is made of. */
export class Cluster {
  /** @param name keeps clusters on one machine apart */
  constructor(
    private readonly name: string,
    private readonly controlPlaneOnly: boolean,
  ) {}

  up(): void {
    this.mustRun(['up']);
  }

  down(): void {
    this.mustRun(['down']);
  }

  /** Runs kubectl and says how it ended; a refusal is an end too. */
  try(args: readonly string[], input?: string): Ended {
    return this.run(['kubectl', ...args], input);
  }

  /**
   * Runs kubectl.
   * @returns what it printed
   * @throws when it exits with anything but 0
   */
  kubectl(...args: string[]): string {
    return this.mustRun(['kubectl', ...args]);
  }

  /** One object or list, parsed. */
  get<T>(...args: string[]): T {
    return JSON.parse(this.kubectl('get', ...args, '--output=json')) as T;
  }

  /**
   * Runs a command inside the node, where Services and pods have a route.
   * @returns what it printed
   * @throws when it exits with anything but 0
   */
  enter(...command: string[]): string {
    return this.mustRun(['enter', ...command]);
  }

  /** For programs that run kubectl themselves. */
  kubectlEnvironment(): Record<string, string> {
    return { KUBECTL: `${SCRIPT} kubectl`, ...this.environment() };
  }

  /** What a command is started by to run inside the node, with `kubectl` at hand: see kubectlEnvironment. */
  entrance(): string[] {
    return [SCRIPT, 'enter'];
  }

  private environment(): Record<string, string> {
    return { CLUSTER_NAME: this.name, CONTROL_PLANE_ONLY: this.controlPlaneOnly ? '1' : '' };
  }

  private mustRun(args: readonly string[]): string {
    const { status, output } = this.run(args);
    if (status !== 0)
      throw new Error(`cluster.sh ${args.join(' ')} ended with ${status}:\n${output.slice(-4000)}`);
    return output;
  }

  private run(args: readonly string[], input?: string): Ended {
    const { status, stdout, stderr, error } = spawnSync(SCRIPT, args, {
      encoding: 'utf8',
      input: input ?? '',
      maxBuffer: 64 * 2 ** 20,
      env: { ...process.env, ...this.environment() },
    });
    if (error) throw error;
    // What a program says on the side is for people; where it failed it is what they need.
    const output = status === 0 ? stdout : `${stdout}${stderr}`;
    return { status: status ?? -1, output, lines: output.split('\n').filter((line) => line !== '') };
  }
}

/** Seconds that something took, to one decimal, beside what it returned. */
export function timed<T>(action: () => T): { seconds: number; result: T } {
  const begin = performance.now();
  const result = action();
  return { seconds: Math.round((performance.now() - begin) / 100) / 10, result };
}

/** Prints a measured figure, after the name of the suite that measured it: two of them may run at a time. */
export function report(line: string): void {
  const suite = typeof expect === 'function' ? expect.getState().testPath : undefined;
  const name = suite === undefined ? '' : `${basename(suite, '.test.ts')}: `;
  process.stderr.write(`      ${name}${line}\n`);
}
