import { Construct } from 'constructs';
import { z } from 'zod';
import { filledIn } from '../definitions/filled-in';
import { type GateDefinition, gateSchema } from './gate';

/** Schema of the part of spec.json that this stage writes. */
export const registrySpecSchema = z.strictObject({
  model: z.string(),
  gate: filledIn(gateSchema),
});

/** Stage 3: the model in MLflow's registry, and the gate that a challenger must pass. */
export class ModelRegistration extends Construct {
  /** Read by the steps `register` and `gate`. */
  readonly spec: z.output<typeof registrySpecSchema>;

  constructor(scope: Construct, id: string, props: { readonly name: string; readonly gate: GateDefinition }) {
    super(scope, id);
    this.spec = { model: props.name, gate: props.gate };
  }
}
