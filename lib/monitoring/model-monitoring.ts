import { Construct } from 'constructs';
import { z } from 'zod';
import { filledIn } from '../definitions/filled-in';
import type { Observability } from '../observability/observability';
import { modelAlerts, modelRecords, type ModelRulesProps } from './model-rules';
import { retrainingSchema } from './retraining';

/** What a pipeline's spec says of this stage: what its rules do not. */
export const monitoringSpecSchema = z.strictObject({
  retraining: filledIn(retrainingSchema).pick({ onDrift: true, cooldown: true }),
  ...filledIn(retrainingSchema).pick({ every: true, reportEvery: true }).shape,
});

export interface ModelMonitoringProps extends ModelRulesProps {
  readonly observability: Observability;
}

/** Stage 5: when a served model has drifted or errs too much, and what follows. */
export class ModelMonitoring extends Construct {
  /** Read by the pipeline's DAGs. */
  readonly spec: z.output<typeof monitoringSpecSchema>;

  constructor(scope: Construct, id: string, props: ModelMonitoringProps) {
    super(scope, id);
    const { onDrift, cooldown, every, reportEvery } = props.retraining;
    this.spec = { retraining: { onDrift, cooldown }, every, reportEvery };
    props.observability.watch(this, {
      system: `model-${props.name}`,
      records: modelRecords(props),
      alerts: modelAlerts(props),
    });
  }
}
