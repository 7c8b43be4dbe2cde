import { spawnSync } from 'node:child_process';
import { basename, join } from 'node:path';

const SCRIPT = join(__dirname, '../../../scripts/cluster/cluster.sh');

/** How a command ended. */
export interface Ended {
  readonly status: number;
  readonly output: string;
  readonly lines: readonly string[];
}

/** A fresh Kubernetes on this machine, made by `scripts/cluster/cluster.sh`. */
export class Cluster {
  /**
   * @param name keeps clusters on one machine apart
   * @param controlPlaneOnly whether it has an API server, controllers and etcd but no node, so that no pod runs
   */
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

  /** Runs kubectl and returns how it ended, also where it failed. */
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

  /** The object or the list that `kubectl get` prints, parsed. */
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

  /** Environment variables for programs that run kubectl themselves. */
  kubectlEnvironment(): Record<string, string> {
    return { KUBECTL: `${SCRIPT} kubectl`, ...this.environment() };
  }

  /** The words before a command that make it run inside the node; it needs the variables of `kubectlEnvironment`. */
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
    // A program's stderr explains a failure; of a success it is not part of the result.
    const output = status === 0 ? stdout : `${stdout}${stderr}`;
    return { status: status ?? -1, output, lines: output.split('\n').filter((line) => line !== '') };
  }
}

/** Runs an action. @returns the seconds that it took, to one decimal, and what it returned */
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
