import { Construct } from 'constructs';
import type { GateDefinition } from './gate';

/** The registered version that serves, the one that wants to, and the one that served before. */
const ALIASES = { champion: 'champion', challenger: 'challenger', previous: 'previous' } as const;

/** Stage 3: the registered model, its aliases, and what a challenger must show. */
export class ModelRegistration extends Construct {
  /** Read by the steps `register` and `gate`. */
  readonly spec;

  constructor(scope: Construct, id: string, props: { readonly name: string; readonly gate: GateDefinition }) {
    super(scope, id);
    this.spec = { model: props.name, aliases: ALIASES, gate: props.gate };
  }
}
