import { Lazy } from 'cdk8s';
import { k8s } from 'cdk8s-plus-28';
import { Construct } from 'constructs';
import { lifecycleProgram } from '../core/program';
import type { Mount } from '../core/volume';
import { type StepRuntime, stepsSpec } from './step-pods';

const NAME = 'airflow-dags';

/** The DAGs, in one ConfigMap. Airflow reads a change within two minutes, and nothing restarts. */
export class DagFiles extends Construct {
  constructor(scope: Construct, id: string, stepPods: StepRuntime) {
    super(scope, id);
    new k8s.KubeConfigMap(this, 'files', {
      metadata: { name: NAME },
      data: {
        // A ConfigMap's volume links to itself under names that begin with two dots: a loop to whoever walks it.
        '.airflowignore': '..*\ncheck_step.py\n',
        'check_step.py': lifecycleProgram('check_step.py'),
        'platform_check.py': lifecycleProgram('dags/platform_check.py'),
        'steps.json': Lazy.any({ produce: () => `${JSON.stringify(stepsSpec(stepPods), null, 2)}\n` }),
      },
    });
  }

  mount(): Mount {
    return { path: '/opt/airflow/dags', readOnly: true, volume: { name: 'dags', configMap: { name: NAME } } };
  }
}
