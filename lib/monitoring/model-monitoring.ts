import { Construct } from 'constructs';
import { z } from 'zod';
import { filledIn } from '../definitions/filled-in';
import type { Observability } from '../observability/observability';
import { modelAlerts, modelRecords, type ModelRulesProps } from './model-rules';
import { retrainingSchema } from './retraining';

/** Schema of the part of spec.json that this stage writes. Thresholds are not part of it; they are in the rules. */
export const monitoringSpecSchema = z.strictObject({
  retraining: filledIn(retrainingSchema).pick({ onDrift: true, cooldown: true }),
  ...filledIn(retrainingSchema).pick({ every: true, reportEvery: true }).shape,
});

export interface ModelMonitoringProps extends ModelRulesProps {
  readonly observability: Observability;
}

/** Stage 5: the rules that find drift and errors of the served model, and when they start a retraining. */
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
