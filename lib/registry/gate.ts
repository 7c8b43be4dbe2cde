import { z } from 'zod';
import { rules } from '../definitions/rules';

/**
 * What a challenger must show before it becomes champion. Both are measured on
 * the same newest holdout: this run's, or the champion's where that learned from a
 * newer batch. A tie keeps the champion, unless the challenger brings other settings of `serving`.
 */
export interface Gate {
  /** The metric that `train` logs to MLflow: `mae`. */
  readonly metric: string;
  /** Which way the metric is better. */
  readonly better: 'lower' | 'higher';
  /**
   * How much better than the champion, as a share of the champion's value, 0 to 1.
   * @default 0.01
   */
  readonly margin?: number;
  /**
   * The worst value that may be served at all, champion or not.
   * @default - any
   */
  readonly limit?: number;
}

export const gateSchema = z.strictObject({
  metric: rules.identifier(),
  better: z.enum(['lower', 'higher']),
  margin: rules.between(0, 1).default(0.01),
  limit: rules.finite().optional(),
});

/** Checked, with its defaults filled in. */
export type GateDefinition = z.output<typeof gateSchema>;
