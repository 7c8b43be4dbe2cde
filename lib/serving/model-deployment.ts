import { Construct } from 'constructs';
import type { Accelerator } from '../definitions/accelerator';
import type { ServedModelDefinition } from './served-model';

export interface ModelDeploymentProps {
  readonly name: string;
  readonly serving: ServedModelDefinition;
  /** Bucket of the model repository. */
  readonly bucket: string;
  /** What each Triton server computes on. */
  readonly accelerator: Accelerator;
}

/** Stage 4: the model's place in Triton's model repository, and how Triton serves it. */
export class ModelDeployment extends Construct {
  /** Read by the step `deploy`. */
  readonly spec;

  constructor(scope: Construct, id: string, props: ModelDeploymentProps) {
    super(scope, id);
    const { gpu, ...serving } = props.serving;
    const gpus = gpu ? props.accelerator.count : 0;
    this.spec = { model: props.name, bucket: props.bucket, prefix: `${props.name}/`, gpus, ...serving };
  }
}
