import { batchPeriod, type SourceDefinition } from '../collection/source';
import { longestGapSeconds } from '../definitions/cron';
import { BIN_KINDS, METRICS, RETRAINING_ALERTS } from '../definitions/names';
import type { Alert } from '../observability/alert';
import type { RecordingRule } from '../observability/observability';
import type { GateDefinition } from '../registry/gate';
import type { DriftDefinition } from './drift';
import type { RetrainingDefinition } from './retraining';

/** The parts of a pipeline's definition that determine its rules. */
export interface ModelRulesProps {
  readonly name: string;
  readonly source: SourceDefinition;
  readonly schedule: string;
  readonly gate: GateDefinition;
  readonly drift: DriftDefinition;
  readonly retraining: RetrainingDefinition;
}

/** The series that every pipeline's rules record. */
export const MODEL_RECORDS = ['mlops:feature_samples', 'mlops:feature_share', 'mlops:feature_psi'] as const;

/**
 * The population stability index of one model's features and predictions: the sum over
 * the baseline's bins of (share - ratio) · ln(share / ratio), of the samples of a window.
 */
export function modelRecords({ name, drift }: ModelRulesProps): RecordingRule[] {
  const model = `{model="${name}"}`;
  const increase = `increase(${METRICS.featureBin}${model}[${drift.window}])`;
  const ratio = `clamp_min(max by (${BIN}) (${METRICS.featureBaselineRatio}${model}), ${LEAST_SHARE})`;
  const share = `mlops:feature_share${model}`;
  const [samples, shares, psi] = MODEL_RECORDS;
  return [
    { record: samples, expr: `sum by (${FEATURE}) (${increase})` },
    {
      record: shares,
      expr:
        `clamp_min(sum by (${BIN}) (${increase}) / on (${FEATURE}) group_left () ` +
        `(mlops:feature_samples${model} > 0), ${LEAST_SHARE})`,
    },
    {
      record: psi,
      expr: `sum by (${FEATURE}) ((${share} - on (${BIN}) ${ratio}) * on (${BIN}) ln(${share} / on (${BIN}) ${ratio}))`,
    },
  ];
}

export function modelAlerts(props: ModelRulesProps): Alert[] {
  return [...driftAlerts(props), ...errorAlert(props), ...staleAlert(props), refusedAlert(props)];
}

const FEATURE = 'model, version, feature, kind';
const BIN = `${FEATURE}, bin`;
/** Smallest share of a bin. An empty bin would have no logarithm. */
const LEAST_SHARE = '0.0001';

function driftAlerts({ name, drift }: ModelRulesProps): Alert[] {
  const drifted = (kind: string) =>
    `mlops:feature_psi{model="${name}", kind="${kind}"} > ${drift.threshold} ` +
    `and on (${FEATURE}) mlops:feature_samples{model="${name}"} >= ${drift.minSamples} ` +
    `and on (model, version) (max by (model, version) (${METRICS.modelServing}{model="${name}"}) == 1)`;
  return [
    {
      name: RETRAINING_ALERTS.drift,
      expr: drifted(BIN_KINDS.feature),
      for: '1m',
      severity: 'warning',
      summary:
        '{{ $labels.feature }} of {{ $labels.model }} version {{ $labels.version }} has drifted from its training data: PSI {{ $value }}.',
    },
    {
      name: RETRAINING_ALERTS.predictionDrift,
      expr: drifted(BIN_KINDS.prediction),
      for: '1m',
      severity: 'warning',
      summary:
        'The predictions of {{ $labels.model }} version {{ $labels.version }} have drifted from those in training: PSI {{ $value }}.',
    },
  ];
}

function errorAlert({ name, gate, retraining }: ModelRulesProps): Alert[] {
  if (retraining.onError === undefined) return [];
  const worse = gate.better === 'lower' ? '>' : '<';
  return [
    {
      name: RETRAINING_ALERTS.error,
      expr:
        `max by (model, version, metric) (${METRICS.liveError}{model="${name}"}) ${worse} ${retraining.onError} ` +
        `and on (model, version) (max by (model, version) (${METRICS.modelServing}{model="${name}"}) == 1)`,
      for: '1m',
      severity: 'warning',
      summary:
        '{{ $labels.model }} version {{ $labels.version }} errs too much on the labels that arrived since: {{ $labels.metric }} {{ $value }}.',
    },
  ];
}

/** Scheduled runs without newer data before the data counts as stale. */
const MISSED_RUNS = 2;

/** None for a source that has ended. */
function staleAlert({ name, source, schedule }: ModelRulesProps): Alert[] {
  if (source.until !== undefined) return [];
  const days = LONGEST_DAYS[batchPeriod(source)] + source.monthsUntilPublished * LONGEST_DAYS.month;
  const seconds = days * 24 * 3600 + MISSED_RUNS * longestGapSeconds(schedule);
  return [
    {
      name: 'ModelDataStale',
      expr: `time() - max by (model) (${METRICS.batchEnd}{model="${name}"}) > ${seconds}`,
      for: '1h',
      severity: 'warning',
      summary: 'The newest data of {{ $labels.model }} ended {{ $value | humanizeDuration }} ago.',
    },
  ];
}

function refusedAlert({ name }: ModelRulesProps): Alert {
  return {
    name: 'ModelVersionRefused',
    expr: `max by (model, version) (${METRICS.modelRefused}{model="${name}"}) == 1`,
    for: '1m',
    severity: 'critical',
    summary:
      'Triton was told to serve {{ $labels.model }} version {{ $labels.version }} and refuses it; the version before still serves.',
  };
}

const LONGEST_DAYS = { year: 366, month: 31, date: 1, hour: 1 } as const;
