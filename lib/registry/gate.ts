import { z } from 'zod';
import { rules } from '../definitions/rules';

/**
 * What a new version (the challenger) must reach before it replaces the one that serves (the champion). Both are
 * measured on the same holdout: that of this run, or that of the champion where it was trained on a newer batch. At a
 * tie the champion stays, unless the challenger has other settings of `serving`.
 */
export interface Gate {
  /** The metric: `mae`, `rmse` or `r2` of a regression, `accuracy`, `log_loss` or `f1` of a classification. */
  readonly metric: string;
  /** Whether lower or higher values of the metric are better. */
  readonly better: 'lower' | 'higher';
  /**
   * By how much the challenger must be better, as a share of the champion's value, 0 to 1.
   * @default 0.01
   */
  readonly margin?: number;
  /**
   * The worst value with which a version may serve. A challenger beyond it is rejected, also where there is no
   * champion.
   * @default - no limit
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
