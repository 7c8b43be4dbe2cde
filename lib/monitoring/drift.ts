import { z } from 'zod';
import { rules, type Duration } from '../definitions/rules';

/** When the world has moved: the population stability index of live features against the baseline. */
export interface Drift {
  /**
   * PSI above which a feature has drifted. 0.1 is a small shift, 0.25 a large one.
   * @default 0.2
   */
  readonly threshold?: number;
  /**
   * How much of the recent past is compared.
   * @default 1h
   */
  readonly window?: Duration;
  /**
   * Rows of sampled requests in the window below which nothing is said.
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
