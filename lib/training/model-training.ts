import { Construct } from 'constructs';
import type { Accelerator } from '../definitions/accelerator';
import { resources } from '../kubernetes/pod-defaults';
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
    const { requests, limits } = resources(cpu, memory, pod.limits);
    this.spec = {
      experiment: props.name,
      timeout,
      runtimeClassName: pod.runtimeClassName,
      nodeSelector: pod.nodeSelector,
      tolerations: pod.tolerations,
      resources: { requests: plain(requests), limits: plain(limits) },
    };
  }
}

function plain(quantities: Record<string, { value: unknown }> | undefined): Record<string, unknown> {
  return Object.fromEntries(Object.entries(quantities ?? {}).map(([name, { value }]) => [name, value]));
}
