import { z } from 'zod';
import { DEFAULTS } from '../definitions/names';
import { rules, type Duration } from '../definitions/rules';

/**
 * How Triton serves a model. A version keeps what it was trained with: a change comes into force
 * with the next run's version, for which the gate then takes a tie as enough.
 */
export interface ServedModel {
  /**
   * Most rows in one batch that Triton puts together from several requests.
   * @default 256
   */
  readonly maxBatchSize?: number;
  /**
   * Microseconds a request may wait for others to share its batch.
   * @default 500
   */
  readonly maxQueueDelayMicroseconds?: number;
  /**
   * Copies of the model that compute at the same time, on each server.
   * @default 1
   */
  readonly instances?: number;
  /**
   * One request in this many is traced, and its features counted for drift.
   * @default 10
   */
  readonly traceOneIn?: number;
  /**
   * Whether it computes on Triton's GPU, where the environment gives Triton one.
   * @default true
   */
  readonly gpu?: boolean;
  /**
   * Whether a challenger answers the sampled requests beside the champion before the
   * gate decides, which waits for 200 of their rows, ten minutes at most. Its answers are
   * counted and never returned.
   * @default false
   */
  readonly shadow?: boolean;
  /**
   * Whether sampled requests are kept in the object store, for labels that arrive later.
   * @default false
   */
  readonly payloads?: boolean;
  /**
   * How long sampled requests are kept there. The step `monitor` deletes older ones, those of before
   * a change of this value too.
   * @default 90d
   */
  readonly payloadRetention?: Duration;
}

export const servedModelSchema = z.strictObject({
  maxBatchSize: rules.whole(1, 65536).default(256),
  maxQueueDelayMicroseconds: rules.whole(0, 1_000_000).default(500),
  instances: rules.whole(1, 64).default(1),
  traceOneIn: rules.whole(1, 1_000_000).default(DEFAULTS.traceOneIn),
  gpu: z.boolean().default(true),
  shadow: z.boolean().default(false),
  payloads: z.boolean().default(false),
  payloadRetention: rules.duration().default('90d'),
});

/** Checked, with its defaults filled in. */
export type ServedModelDefinition = z.output<typeof servedModelSchema>;
