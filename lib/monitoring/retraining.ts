import { z } from 'zod';
import { rules, type Duration } from '../definitions/rules';

/** What starts a retraining besides the schedule. */
export interface Retraining {
  /**
   * Whether drift starts a retraining.
   * @default true
   */
  readonly onDrift?: boolean;
  /**
   * Value of the gate's metric for the live model, measured on labels that arrived later, beyond which a retraining
   * starts: above it where lower values are better, below it where higher ones are.
   * @default - the error starts none
   */
  readonly onError?: number;
  /**
   * Shortest time between two retrainings that alerts start.
   * @default 24h
   */
  readonly cooldown?: Duration;
  /**
   * How often Prometheus is asked which alerts fire.
   * @default 5m
   */
  readonly every?: Duration;
  /**
   * How often the step `monitor` runs, which measures the live model's error and writes the drift report.
   * @default 24h
   */
  readonly reportEvery?: Duration;
}

export const retrainingSchema = z.strictObject({
  onDrift: z.boolean().default(true),
  onError: rules.finite().optional(),
  cooldown: rules.duration().default('24h'),
  every: rules.duration().default('5m'),
  reportEvery: rules.duration().default('24h'),
});

/** Checked, with its defaults filled in. */
export type RetrainingDefinition = z.output<typeof retrainingSchema>;
