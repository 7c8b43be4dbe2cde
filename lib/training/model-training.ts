import { Construct } from 'constructs';
import { z } from 'zod';
import type { Accelerator } from '../definitions/accelerator';
import { rules } from '../definitions/rules';
import { resourcesJson, resourcesSpecSchema } from '../kubernetes/pod-defaults';
import type { TrainerDefinition } from './trainer';

export interface ModelTrainingProps {
  readonly name: string;
  readonly trainer: TrainerDefinition;
  /** The GPUs of the training step in this environment. */
  readonly accelerator: Accelerator;
}

/** Schema of the part of spec.json that this stage writes. */
export const trainingSpecSchema = z.strictObject({
  experiment: z.string(),
  timeout: rules.duration(),
  runtimeClassName: z.string().optional(),
  nodeSelector: z.record(z.string(), z.string()).optional(),
  tolerations: z
    .array(z.strictObject({ key: z.string(), operator: z.string(), effect: z.string() }))
    .optional(),
  resources: resourcesSpecSchema,
});

/** Stage 2: resources and time limit of the training step, and the MLflow experiment that tracks it. */
export class ModelTraining extends Construct {
  /** Read by the step `train`. */
  readonly spec: z.output<typeof trainingSpecSchema>;

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
