import type { Construct } from 'constructs';
import { Collection } from '../collection/collection';
import type { Accelerator } from '../definitions/accelerator';
import { DefinitionError } from '../definitions/definition-error';
import { PLATFORM_NAMESPACE, Stage } from '../kubernetes/stage';
import { ConfigFiles } from '../kubernetes/volume';
import type { IObjectStore } from '../foundation/object-store';
import { Observation } from '../monitoring/observation';
import type { Observability } from '../observability/observability';
import { Registration } from '../registry/registration';
import { Deployment } from '../serving/deployment';
import { Training } from '../training/training';
import type { StepRuntime } from '../workflow/step-pods';
import type { PipelineDefinition } from './definition';

export interface PipelineContext {
  readonly observability: Observability;
  readonly objectStore: IObjectStore;
  /** Who runs a step, where, and what it is wired to. */
  readonly stepPods: StepRuntime;
  /** The kind of GPU that the environment has, or none. */
  readonly accelerator: Accelerator;
  /** GPUs that Triton leaves to training. */
  readonly trainingGpus: number;
}

/** A definition beside the code that only its owner can write. */
export interface PipelineSource {
  readonly definition: PipelineDefinition;
  /** The text of model.py. */
  readonly model: string;
}

/** One model's whole life: what the rooms offer, put together for one definition. */
export class Pipeline extends Stage {
  readonly collection: Collection;
  readonly training: Training;
  readonly registration: Registration;
  readonly deployment: Deployment;
  readonly observation: Observation;

  constructor(scope: Construct, source: PipelineSource, context: PipelineContext) {
    const { definition, model } = source;
    super(scope, `pipeline-${definition.name}`, { file: `60-pipeline-${definition.name}` });

    this.collection = new Collection(this, 'collection', {
      ...definition,
      bucket: context.objectStore.bucket('data'),
      namespace: context.stepPods.namespace,
    });
    this.training = new Training(this, 'training', {
      ...definition,
      accelerator: trainingAccelerator(definition, context),
    });
    this.registration = new Registration(this, 'registration', definition);
    this.deployment = new Deployment(this, 'deployment', {
      ...definition,
      bucket: context.objectStore.bucket('models'),
      accelerator: context.accelerator,
    });
    this.observation = new Observation(this, 'observation', {
      ...definition,
      observability: context.observability,
    });

    const name = `pipeline-${definition.name}`;
    const spec = {
      apiVersion: 'mlops-lifecycle/v1',
      name: definition.name,
      owner: definition.owner,
      description: definition.description,
      schedule: definition.schedule,
      collection: this.collection.spec,
      training: this.training.spec,
      registry: this.registration.spec,
      serving: this.deployment.spec,
      monitoring: this.observation.spec,
      steps: context.stepPods.spec({ name: definition.name, configMap: name }),
    };
    const files = { 'spec.json': `${JSON.stringify(spec, null, 2)}\n` };
    const labels = { 'mlops-lifecycle/pipeline': definition.name };
    // Airflow makes DAGs of the first; steps read the second, in their own namespace.
    new ConfigFiles(this, 'spec', { name, namespace: PLATFORM_NAMESPACE, labels, files });
    new ConfigFiles(this, 'steps', {
      name,
      namespace: context.stepPods.namespace,
      labels,
      files: { ...files, 'model.py': model },
    });
  }
}

/** A GPU is used where there is one; where all are taken, waiting for one would be for ever. */
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
