import { Construct } from 'constructs';
import type { DriftDefinition } from './drift';
import type { RetrainingDefinition } from './retraining';

/** Stage 5: when a served model has drifted or errs too much, and what follows. */
export class Observation extends Construct {
  /** Read by the steps `observe` and `monitor`. */
  readonly spec;

  constructor(
    scope: Construct,
    id: string,
    props: { readonly drift: DriftDefinition; readonly retraining: RetrainingDefinition },
  ) {
    super(scope, id);
    this.spec = { drift: props.drift, retraining: props.retraining };
  }
}
