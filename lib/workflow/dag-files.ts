import { Lazy } from 'cdk8s';
import { Construct } from 'constructs';
import { images } from '../kubernetes/images';
import { commandProbe } from '../kubernetes/probe';
import { packageFiles, pythonFile } from '../kubernetes/program';
import { PLATFORM_NAMESPACE } from '../kubernetes/namespaces';
import { ConfigFiles, type Mount, emptyDir } from '../kubernetes/volume';
import type { Sidecar } from '../kubernetes/workload-props';
import type { StepRuntime } from './step-pods';

const NAME = 'airflow-dags';
const FOLDER = '/opt/airflow/dags';
const READY_FILE = `${FOLDER}/.ready`;
const SHARED = '/shared';

/**
 * The folder from which Airflow reads its DAGs: the modules that all pipelines share, and a file for each pipeline's
 * ConfigMap. A change of a ConfigMap reaches the folder within two minutes, without a restart.
 */
export class DagFiles extends Construct {
  private readonly files: ConfigFiles;
  private readonly program: ConfigFiles;

  constructor(scope: Construct, id: string, stepPods: StepRuntime) {
    super(scope, id);
    this.files = new ConfigFiles(this, 'files', {
      name: NAME,
      files: {
        '.airflowignore': 'check_step.py\nlifecycle\nlifecycle_*.py\n',
        'check_step.py': pythonFile('programs/check_step.py'),
        ...packageFiles(['cluster_http', 'spec'], 'lifecycle/'),
        'lifecycle_dags.py': pythonFile('airflow/lifecycle_dags.py'),
        'lifecycle_settings.py': pythonFile('airflow/lifecycle_settings.py'),
        'lifecycle_watching.py': pythonFile('airflow/lifecycle_watching.py'),
        'platform_check.py': pythonFile('airflow/platform_check.py'),
        'steps.json': Lazy.any({ produce: () => `${JSON.stringify(stepPods.spec(), null, 2)}\n` }) as string,
      },
    });
    this.program = new ConfigFiles(this, 'program', {
      name: 'pipeline-dags-program',
      files: {
        ...packageFiles(['names'], 'lifecycle/'),
        'kubernetes_api.py': pythonFile('programs/kubernetes_api.py'),
        'pipeline_dags.py': pythonFile('programs/pipeline_dags.py'),
      },
    });
  }

  /** The folder, read-only, for Airflow. */
  mount(): Mount {
    return { ...this.folder(), readOnly: true };
  }

  /** The sidecar that writes the folder and needs the right to list ConfigMaps. Airflow starts once the folder is whole. */
  sidecar(): Sidecar {
    return {
      name: 'pipeline-dags',
      image: images.python,
      command: ['python3', '/program/pipeline_dags.py', PLATFORM_NAMESPACE, SHARED, FOLDER, READY_FILE],
      env: { PYTHONDONTWRITEBYTECODE: '1' },
      cpu: { request: '10m' },
      memory: { request: '32Mi', limit: '128Mi' },
      startsFirst: true,
      startupProbe: commandProbe(['test', '-e', READY_FILE], { periodSeconds: 1, failureThreshold: 600 }),
      mounts: [
        this.folder(),
        this.program.mountAt('/program'),
        // Without a hash, because a change reaches the folder without a restart.
        { ...this.files.mountAt(SHARED), contentHash: undefined },
      ],
    };
  }

  private folder(): Mount {
    return emptyDir('dag-folder', FOLDER, '256Mi');
  }
}
