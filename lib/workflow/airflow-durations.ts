import type { PrometheusServer } from '../observability/prometheus-server';
import type { Unit } from '../observability/signal';

/** How PromQL asks for what Airflow timed: that depends on the way on which it comes to Prometheus. */
export interface AirflowDurations {
  readonly unit: Unit;
  /** The metrics that a timer becomes: `dagrun_duration_success`. */
  metrics(timer: string): readonly string[];
  /** How often it was timed, since the program that counts began. */
  count(timer: string): string;
  /** How often within a range. */
  countIn(timer: string, range: string): string;
  /** The mean of a range, series by series. */
  meanIn(timer: string, range: string): string;
  /** The mean of a range, of all series together. */
  meanOfAll(timer: string, range: string): string;
}

/** The durations of Airflow as this Prometheus gets them. */
export function airflowDurations(prometheus: PrometheusServer): AirflowDurations {
  return prometheus.otlpUrl === undefined ? SUMMARIES : HISTOGRAMS;
}

/** Exponential histograms over OTLP, which Prometheus keeps as native ones: one series, no `_bucket`. */
const HISTOGRAMS: AirflowDurations = {
  unit: 'ms',
  metrics: (timer) => [histogram(timer)],
  count: (timer) => `histogram_count(${histogram(timer)})`,
  countIn: (timer, range) => `histogram_count(increase(${histogram(timer)}[${range}]))`,
  meanIn: (timer, range) => `histogram_avg(increase(${histogram(timer)}[${range}]))`,
  meanOfAll: (timer, range) => `histogram_avg(sum(rate(${histogram(timer)}[${range}])))`,
};

/** Summaries of the StatsD exporter, which every Prometheus knows. */
const SUMMARIES: AirflowDurations = {
  unit: 's',
  metrics: (timer) => [counted(timer), summed(timer)],
  count: counted,
  countIn: (timer, range) => `increase(${counted(timer)}[${range}])`,
  meanIn: (timer, range) => `increase(${summed(timer)}[${range}]) / increase(${counted(timer)}[${range}])`,
  meanOfAll: (timer, range) =>
    `sum(rate(${summed(timer)}[${range}])) / sum(rate(${counted(timer)}[${range}]))`,
};

function histogram(timer: string): string {
  return `airflow_${timer}_milliseconds`;
}

function counted(timer: string): string {
  return `airflow_${timer}_seconds_count`;
}

function summed(timer: string): string {
  return `airflow_${timer}_seconds_sum`;
}
