import { Construct } from 'constructs';
import { STEPS } from '../definitions/names';
import { images } from './images';
import { packageFiles, pythonFile } from './program';
import { ConfigFiles, type Mount } from './volume';

export interface LifecycleCodeProps {
  /** Which lock the packages come from: `steps` or `sidecar`. */
  readonly packages: 'steps' | 'sidecar';
  /** @default mlops-platform */
  readonly namespace?: string;
  /**
   * An image in which the packages already are: `python/Dockerfile` makes it.
   * @default - Python and uv, which install them from the locked requirements
   */
  readonly image?: string;
  /** Where the installed packages are kept; nothing is installed into an image that has them. */
  readonly environments: Mount;
}

/**
 * The Python package `lifecycle`, and how a container runs one of its modules:
 * its code from a ConfigMap, its packages from a lock or from a built image.
 */
export class LifecycleCode extends Construct {
  readonly image: string;
  /** Whether the container must reach a package index. */
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

  /** What runs a module of the package; the module and its arguments follow. */
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

/** What `python -m` is asked for; a step is imported by its name. */
const ENTRIES = {
  steps: [
    '__main__',
    ...[...Object.values(STEPS.run), ...Object.values(STEPS.alone)].map((step) => `steps.${step}`),
  ],
  sidecar: ['sidecar.__main__'],
};

const CODE = '/code';
const LAUNCHER = '/launcher';
