import type { PrometheusServer } from '../observability/prometheus-server';
import type { Unit } from '../observability/signal';

/** PromQL for a timer of Airflow. It depends on how the timer reaches Prometheus. */
export interface AirflowDurations {
  readonly unit: Unit;
  /** Metrics of a timer, which is given by Airflow's name with underscores: `dagrun_duration_success`. */
  metrics(timer: string): readonly string[];
  /** Number of measurements since the counting program started. */
  count(timer: string): string;
  /** Number of measurements within a range, such as `1h`. */
  countIn(timer: string, range: string): string;
  /** Mean within a range, of each series. */
  meanIn(timer: string, range: string): string;
  /** Mean within a range, of all series together. */
  meanOfAll(timer: string, range: string): string;
}

/** The PromQL of Airflow's timers in this Prometheus: native histograms over OTLP, else summaries. */
export function airflowDurations(prometheus: PrometheusServer): AirflowDurations {
  return prometheus.otlpUrl === undefined ? SUMMARIES : HISTOGRAMS;
}

/** Exponential histograms over OTLP. Prometheus stores them as native histograms: one series, no `_bucket`. */
const HISTOGRAMS: AirflowDurations = {
  unit: 'ms',
  metrics: (timer) => [histogram(timer)],
  count: (timer) => `histogram_count(${histogram(timer)})`,
  countIn: (timer, range) => `histogram_count(increase(${histogram(timer)}[${range}]))`,
  meanIn: (timer, range) => `histogram_avg(increase(${histogram(timer)}[${range}]))`,
  meanOfAll: (timer, range) => `histogram_avg(sum(rate(${histogram(timer)}[${range}])))`,
};

/** Summaries of the StatsD exporter, which every Prometheus can store. */
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
