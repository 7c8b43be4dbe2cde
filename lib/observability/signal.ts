/** Grafana's name for a unit. */
export type Unit = 'short' | 'percentunit' | 's' | 'ms' | 'bytes' | 'Bps' | 'reqps' | 'ops' | 'bool';

/** Something worth knowing about a system, defined once: panels and alerts both use it. */
export interface Signal {
  /** What a person calls it: `Requests per second`. */
  readonly name: string;
  readonly description: string;
  readonly unit: Unit;
  /** PromQL. `$__rate_interval` in a range is Grafana's. */
  readonly expr: string;
  /**
   * Names of the labels that tell the series apart, in the legend.
   * @default - one series, named like the signal
   */
  readonly by?: readonly string[];
  /**
   * A number now, or a line over time.
   * @default timeseries
   */
  readonly as?: 'stat' | 'timeseries';
}
