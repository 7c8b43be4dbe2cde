/** Grafana's name for a unit. */
export type Unit = 'short' | 'percentunit' | 's' | 'ms' | 'bytes' | 'Bps' | 'reqps' | 'ops' | 'bool';

/** A value that describes a system: an expression with its name and unit. Panels and alerts share it. */
export interface Signal {
  /** Title of its panel: `Requests per second`. */
  readonly name: string;
  readonly description: string;
  readonly unit: Unit;
  /** PromQL. Its ranges may be Grafana's variable `$__rate_interval`, but not where an alert uses it. */
  readonly expr: string;
  /**
   * Labels that distinguish its series, for the legend.
   * @default - one series, named like the signal
   */
  readonly by?: readonly string[];
  /**
   * Kind of its panel: `stat` shows the current number, `timeseries` a line over time.
   * @default timeseries
   */
  readonly as?: 'stat' | 'timeseries';
}
