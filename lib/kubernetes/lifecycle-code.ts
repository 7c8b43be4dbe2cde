import { Construct } from 'constructs';
import { STEPS } from '../definitions/names';
import { images } from './images';
import { packageFiles, pythonFile } from './program';
import { ConfigFiles, type Mount } from './volume';

export interface LifecycleCodeProps {
  /** Which file locks the packages: `python/requirements-steps.txt` or `-sidecar.txt`. */
  readonly packages: 'steps' | 'sidecar';
  /** @default mlops-platform */
  readonly namespace?: string;
  /**
   * Image that contains the packages. `python/Dockerfile` builds it.
   * @default - Python and uv, which install them from the locked requirements
   */
  readonly image?: string;
  /** Volume for the installed packages. It is not used with `image`. */
  readonly environments: Mount;
}

/**
 * The Python package `lifecycle`, and how a container runs one of its modules:
 * its code from a ConfigMap, its packages from a lock or from a built image.
 */
export class LifecycleCode extends Construct {
  readonly image: string;
  /** Whether the container installs packages when it starts, for which it must reach a package index. */
  readonly installs: boolean;
  readonly mounts: readonly Mount[];
  private readonly environments: string;

  constructor(scope: Construct, id: string, props: LifecycleCodeProps) {
    super(scope, id);
    this.image = props.image ?? images.python;
    this.installs = props.image === undefined;
    this.environments = this.installs ? props.environments.path : '-';
    const { namespace } = props;
    const code = new ConfigFiles(this, 'code', {
      name: `lifecycle-${props.packages}-code`,
      namespace,
      files: packageFiles(ENTRIES[props.packages]),
    });
    const launcher = new ConfigFiles(this, 'launcher', {
      name: `lifecycle-${props.packages}-launcher`,
      namespace,
      files: {
        ...packageFiles(['names'], 'lifecycle/'),
        'run_step.py': pythonFile('programs/run_step.py'),
        'requirements.txt': pythonFile(`requirements-${props.packages}.txt`),
      },
    });
    this.mounts = [
      code.mountAt(`${CODE}/lifecycle`),
      launcher.mountAt(LAUNCHER),
      ...(this.installs ? [props.environments] : []),
    ];
  }

  /** The command that runs a module. `args` are the module and its arguments; left out, the container's `args` are. */
  command(...args: string[]): string[] {
    return [
      'python3',
      `${LAUNCHER}/run_step.py`,
      '--requirements',
      `${LAUNCHER}/requirements.txt`,
      '--environments',
      this.environments,
      '--code',
      CODE,
      '--',
      ...args,
    ];
  }
}

/** Modules whose imports are followed: those that `python -m` runs, and the steps, which `__main__` imports by name. */
const ENTRIES = {
  steps: [
    '__main__',
    ...[...Object.values(STEPS.run), ...Object.values(STEPS.alone)].map((step) => `steps.${step}`),
  ],
  sidecar: ['sidecar.__main__'],
};

const CODE = '/code';
const LAUNCHER = '/launcher';
