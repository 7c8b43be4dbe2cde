import { Construct } from 'constructs';
import { z } from 'zod';
import type { Accelerator } from '../definitions/accelerator';
import { filledIn } from '../definitions/filled-in';
import { type ServedModelDefinition, servedModelSchema } from './served-model';

export interface ModelDeploymentProps {
  readonly name: string;
  readonly serving: ServedModelDefinition;
  /** Bucket of the model repository. */
  readonly bucket: string;
  /** The GPUs of each Triton server. */
  readonly accelerator: Accelerator;
}

/** Schema of the part of spec.json that this stage writes. */
export const servingSpecSchema = z.strictObject({
  model: z.string(),
  bucket: z.string(),
  prefix: z.string(),
  gpus: z.int().min(0),
  ...filledIn(servedModelSchema).omit({ gpu: true }).shape,
});

/** Stage 4: where the model's versions are in the bucket `models`, and how Triton serves them. */
export class ModelDeployment extends Construct {
  /** Read by the step `deploy`. */
  readonly spec: z.output<typeof servingSpecSchema>;

  constructor(scope: Construct, id: string, props: ModelDeploymentProps) {
    super(scope, id);
    const { gpu, ...serving } = props.serving;
    const gpus = gpu ? props.accelerator.count : 0;
    this.spec = { model: props.name, bucket: props.bucket, prefix: `${props.name}/`, gpus, ...serving };
  }
}
