import { z } from 'zod';
import { rules, type Duration } from '../definitions/rules';

/**
 * When live requests count as drifted: the population stability index (PSI) of each feature, and of the prediction,
 * against the training data.
 */
export interface Drift {
  /**
   * PSI above which a feature has drifted, above 0 and at most 10. 0.1 is a small shift, 0.25 a large one.
   * @default 0.2
   */
  readonly threshold?: number;
  /**
   * Length of the recent past whose requests are compared.
   * @default 1h
   */
  readonly window?: Duration;
  /**
   * Number of rows of sampled requests in the window, 1 to 1000000, below which no drift is reported.
   * @default 500
   */
  readonly minSamples?: number;
}

export const driftSchema = z.strictObject({
  threshold: rules
    .finite()
    .refine((value) => value > 0 && value <= 10, 'must be above 0 and at most 10; 0.2 is usual')
    .default(0.2),
  window: rules.duration().default('1h'),
  minSamples: rules.whole(1, 1_000_000).default(500),
});

/** Checked, with its defaults filled in. */
export type DriftDefinition = z.output<typeof driftSchema>;
