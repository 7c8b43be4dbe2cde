import { z } from 'zod';
import { rules, type Duration } from '../definitions/rules';

/** What starts a retraining besides the schedule. */
export interface Retraining {
  /**
   * Whether drift starts one.
   * @default true
   */
  readonly onDrift?: boolean;
  /**
   * The live model's error, in the gate's metric on labels that arrived later, beyond which it is retrained.
   * @default - never for its error
   */
  readonly onError?: number;
  /**
   * After a retraining, how long none is started by an alert, however many fire.
   * @default 24h
   */
  readonly cooldown?: Duration;
  /**
   * How often the alerts are looked at.
   * @default 5m
   */
  readonly every?: Duration;
  /**
   * How often the live model's error is measured and the report for people is written.
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
