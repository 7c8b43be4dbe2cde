import { Construct } from 'constructs';
import type { Accelerator } from '../definitions/accelerator';
import { resourcesJson } from '../kubernetes/pod-defaults';
import type { TrainerDefinition } from './trainer';

export interface ModelTrainingProps {
  readonly name: string;
  readonly trainer: TrainerDefinition;
  /** What this environment gives to the training step. */
  readonly accelerator: Accelerator;
}

/** Stage 2: what a training run gets, and the MLflow experiment that tracks it. */
export class ModelTraining extends Construct {
  /** Read by the step `train`. */
  readonly spec;

  constructor(scope: Construct, id: string, props: ModelTrainingProps) {
    super(scope, id);
    const { cpu, memory, timeout } = props.trainer;
    const pod = props.accelerator.forPod();
    this.spec = {
      experiment: props.name,
      timeout,
      runtimeClassName: pod.runtimeClassName,
      nodeSelector: pod.nodeSelector,
      tolerations: pod.tolerations,
      resources: resourcesJson(cpu, memory, pod.limits),
    };
  }
}
