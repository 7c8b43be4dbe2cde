import type { Construct } from 'constructs';
import { BIN_KINDS, METRICS } from '../definitions/names';
import type { Dashboard } from '../observability/dashboard';
import type { Observability } from '../observability/observability';
import { MODEL_RECORDS } from './model-rules';

/** Declares the dashboard of all models. Alerts and recording rules are part of each pipeline. */
export function modelObservability(scope: Construct, props: { readonly observability: Observability }): void {
  props.observability.knows(MODEL_RECORDS);
  props.observability.watch(scope, { system: 'models', dashboard: DASHBOARD });
}

const CHOSEN = 'model=~"$model"';

const DASHBOARD: Dashboard = {
  uid: 'mlops-models',
  title: 'Models',
  description: 'What serves, how far its inputs have moved, and how good it still is.',
  variables: [{ name: 'model', label: 'Model', metric: METRICS.modelServingVersion, of: 'model' }],
  rows: [
    {
      title: 'Serving',
      signals: [
        {
          name: 'Version that serves',
          description: 'The number in MLflow’s registry. 0 where none serves.',
          unit: 'short',
          expr: `min by (model) (${METRICS.modelServingVersion}{${CHOSEN}})`,
          by: ['model'],
          as: 'stat',
        },
        {
          name: 'Version that is wanted',
          description: 'What the pointer in the object store says.',
          unit: 'short',
          expr: `max by (model) (${METRICS.modelWantedVersion}{${CHOSEN}})`,
          by: ['model'],
          as: 'stat',
        },
        {
          name: 'Sampled rows per second',
          description: 'Rows of the requests that were sampled and counted.',
          unit: 'ops',
          expr: `sum by (model, version) (rate(${METRICS.sampledRows}{${CHOSEN}}[5m]))`,
          by: ['model', 'version'],
        },
      ],
    },
    {
      title: 'Drift',
      signals: [
        {
          name: 'PSI of the features',
          description:
            'Population stability index against the training data. Up to 0.1 nothing moved; above 0.25 much did.',
          unit: 'short',
          expr: `mlops:feature_psi{${CHOSEN}, kind="${BIN_KINDS.feature}"}`,
          by: ['model', 'version', 'feature'],
        },
        {
          name: 'PSI of the predictions',
          description: 'Population stability index of the predictions against those in training.',
          unit: 'short',
          expr: `mlops:feature_psi{${CHOSEN}, kind="${BIN_KINDS.prediction}"}`,
          by: ['model', 'version'],
        },
        {
          name: 'Samples in the window',
          description:
            'Sampled rows of the drift window. Below minSamples of the pipeline no drift is reported.',
          unit: 'short',
          expr: `max by (model, version) (mlops:feature_samples{${CHOSEN}})`,
          by: ['model', 'version'],
        },
      ],
    },
    {
      title: 'Quality',
      signals: [
        {
          name: 'Error on labels that arrived later',
          description: 'Error of the version that serves, in the metric of its gate.',
          unit: 'short',
          expr: `max by (model, version, metric) (${METRICS.liveError}{${CHOSEN}})`,
          by: ['model', 'version', 'metric'],
        },
        {
          name: 'Last gate',
          description: 'What champion and challenger reached on the same holdout.',
          unit: 'short',
          expr: `max by (model, metric, candidate) (${METRICS.gateValue}{${CHOSEN}})`,
          by: ['model', 'candidate', 'metric'],
        },
      ],
    },
    {
      title: 'Data',
      signals: [
        {
          name: 'Age of the newest data',
          description: 'Time since the end of the newest batch’s period.',
          unit: 's',
          expr: `time() - max by (model) (${METRICS.batchEnd}{${CHOSEN}})`,
          by: ['model'],
        },
        {
          name: 'Rows in quarantine',
          description: 'Share of the newest batch’s rows that were quarantined.',
          unit: 'percentunit',
          expr:
            `max by (model) (${METRICS.batchQuarantinedRows}{${CHOSEN}}) / ` +
            `(max by (model) (${METRICS.batchQuarantinedRows}{${CHOSEN}}) + max by (model) (${METRICS.batchRows}{${CHOSEN}}))`,
          by: ['model'],
        },
      ],
    },
  ],
};
