import type { Construct } from 'constructs';
import { DataCollection } from '../collection/data-collection';
import type { Accelerator } from '../definitions/accelerator';
import { DefinitionError } from '../definitions/definition-error';
import { API_VERSION, FILES, LABELS } from '../definitions/names';
import { ManifestFile } from '../kubernetes/manifest-file';
import { PLATFORM_NAMESPACE } from '../kubernetes/namespaces';
import { ConfigFiles } from '../kubernetes/volume';
import type { IObjectStore } from '../foundation/object-store';
import { ModelMonitoring } from '../monitoring/model-monitoring';
import type { Observability } from '../observability/observability';
import { ModelRegistration } from '../registry/model-registration';
import { ModelDeployment } from '../serving/model-deployment';
import { ModelTraining } from '../training/model-training';
import type { StepRuntime } from '../workflow/step-pods';
import type { PipelineDefinition } from './definition';
import { specText } from './spec';

/** What a pipeline gets from its environment. */
export interface PipelineContext {
  readonly observability: Observability;
  readonly objectStore: IObjectStore;
  /** How its steps run: namespace, account, image and connections. */
  readonly stepPods: StepRuntime;
  /** The kind of GPU that the environment has, or none. */
  readonly accelerator: Accelerator;
  /** Number of GPUs that training may use. */
  readonly trainingGpus: number;
}

/** A pipeline's definition and its user code. */
export interface LoadedPipeline {
  readonly definition: PipelineDefinition;
  /** The text of model.py. */
  readonly model: string;
}

/** The objects of one model, in a file of their own. Each stage's construct adds its part to the spec. */
export class Pipeline extends ManifestFile {
  readonly collection: DataCollection;
  readonly training: ModelTraining;
  readonly registration: ModelRegistration;
  readonly deployment: ModelDeployment;
  readonly monitoring: ModelMonitoring;

  constructor(scope: Construct, source: LoadedPipeline, context: PipelineContext) {
    const { definition, model } = source;
    super(scope, `pipeline-${definition.name}`, { file: `60-pipeline-${definition.name}` });

    this.collection = new DataCollection(this, 'collection', {
      ...definition,
      bucket: context.objectStore.bucket('data'),
      namespace: context.stepPods.namespace,
    });
    this.training = new ModelTraining(this, 'training', {
      ...definition,
      accelerator: trainingAccelerator(definition, context),
    });
    this.registration = new ModelRegistration(this, 'registration', definition);
    this.deployment = new ModelDeployment(this, 'deployment', {
      ...definition,
      bucket: context.objectStore.bucket('models'),
      accelerator: context.accelerator,
    });
    this.monitoring = new ModelMonitoring(this, 'monitoring', {
      ...definition,
      observability: context.observability,
    });

    const name = `pipeline-${definition.name}`;
    const spec = specText({
      apiVersion: API_VERSION,
      name: definition.name,
      owner: definition.owner,
      description: definition.description,
      schedule: definition.schedule,
      collection: this.collection.spec,
      training: this.training.spec,
      registry: this.registration.spec,
      serving: this.deployment.spec,
      monitoring: this.monitoring.spec,
      steps: context.stepPods.spec({ name: definition.name, configMap: name }),
    });
    const files = { [FILES.spec]: spec };
    const labels = { [LABELS.pipeline]: definition.name };
    // Airflow makes the DAGs from the first ConfigMap. Step pods mount the second, in their own namespace.
    new ConfigFiles(this, 'spec', { name, namespace: PLATFORM_NAMESPACE, labels, files });
    new ConfigFiles(this, 'steps', {
      name,
      namespace: context.stepPods.namespace,
      labels,
      files: { ...files, [FILES.model]: model },
    });
  }
}

/**
 * The GPUs of the training step: none in an environment without GPUs, where it trains on the CPU.
 * @throws DefinitionError where it wants more than Triton leaves: its pod would wait for ever.
 */
function trainingAccelerator(definition: PipelineDefinition, context: PipelineContext): Accelerator {
  const wanted = definition.trainer.gpu ?? 0;
  if (!context.accelerator.present) return context.accelerator;
  if (wanted > context.trainingGpus) {
    throw new DefinitionError(
      `pipeline '${definition.name}': trainer.gpu`,
      `must not be more than the environment leaves to training: ${context.trainingGpus}, after what Triton takes; ` +
        `raise the environment's gpus, or train on the CPU`,
      wanted,
    );
  }
  return context.accelerator.withCount(wanted);
}
