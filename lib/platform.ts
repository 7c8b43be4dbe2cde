import type { App } from 'cdk8s';
import { Foundation } from './foundation/foundation';
import type { ManifestFile } from './kubernetes/manifest-file';
import { Observability } from './observability/observability';
import { Pipeline, type LoadedPipeline } from './pipeline/pipeline';
import { Triton } from './serving/triton';
import { MLflow } from './training/mlflow';
import { Airflow } from './workflow/airflow';
import type { Environment } from './environment';

/** All modules of one environment, in the order of a model's life. Each gets what it uses of those before it. */
export class Platform {
  readonly observability: Observability;
  readonly foundation: Foundation;
  readonly workflow: Airflow;
  readonly tracking: MLflow;
  readonly serving: Triton;
  readonly monitoring: ManifestFile;

  /** @param name the environment's name; it becomes a label of the platform's namespace */
  constructor(app: App, name: string, environment: Environment, pipelines: readonly LoadedPipeline[]) {
    this.observability = new Observability(environment.monitoring.prometheus);
    const { observability } = this;
    const { ingress } = environment;

    this.foundation = new Foundation(app, 'foundation', {
      ...environment,
      environmentName: name,
      observability,
      ingress,
    });
    const { secrets, database, objectStore } = this.foundation;
    const shared = { secrets, database, objectStore, observability, ingress };

    this.workflow = new Airflow(app, 'workflow', {
      ...shared,
      apiServerReplicas: environment.airflowApiServerReplicas,
      parallelism: environment.parallelism,
      stepImage: environment.stepImage,
      storageClass: environment.storageClass,
    });
    this.tracking = new MLflow(app, 'training', { ...shared, replicas: environment.mlflowReplicas });
    this.serving = new Triton(app, 'serving', {
      ...shared,
      accelerator: environment.accelerator,
      replicas: environment.tritonReplicas,
      sidecarImage: environment.stepImage,
    });

    const { stepPods } = this.workflow;
    stepPods.uses(
      objectStore.client({
        name: 'steps',
        namespace: stepPods.namespace,
        buckets: { data: 'write', mlflow: 'write', models: 'write' },
      }),
      this.tracking.client(),
      this.serving.client(),
    );
    for (const pipeline of pipelines) {
      new Pipeline(app, pipeline, {
        observability,
        objectStore,
        stepPods,
        trainingGpus: environment.trainingGpus,
        accelerator: environment.accelerator,
      });
    }

    this.monitoring = environment.monitoring.bind(app, 'monitoring', {
      ...shared,
      accelerator: environment.accelerator,
      storageClass: environment.storageClass,
    });
  }
}
