import { Construct } from 'constructs';
import type { Observability } from '../observability/observability';
import { modelAlerts, modelRecords, type ModelRulesProps } from './model-rules';

export interface ModelMonitoringProps extends ModelRulesProps {
  readonly observability: Observability;
}

/** Stage 5: when a served model has drifted or errs too much, and what follows. */
export class ModelMonitoring extends Construct {
  /** Read by the steps `observe` and `monitor`. */
  readonly spec;

  constructor(scope: Construct, id: string, props: ModelMonitoringProps) {
    super(scope, id);
    const { every, reportEvery, ...retraining } = props.retraining;
    this.spec = { drift: props.drift, retraining, every, reportEvery };
    props.observability.watch(this, {
      system: `model-${props.name}`,
      records: modelRecords(props),
      alerts: modelAlerts(props),
    });
  }
}
