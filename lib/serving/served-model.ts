import { z } from 'zod';
import { DEFAULTS } from '../definitions/names';
import { rules, type Duration } from '../definitions/rules';

/**
 * How Triton serves a model. A version keeps the settings with which it was registered: a change takes effect with the
 * version of the next run, for which a tie at the gate is then enough.
 */
export interface ServedModel {
  /**
   * Largest number of rows in a batch, 1 to 65536. Triton combines requests into batches, and refuses a request with
   * more rows.
   * @default 256
   */
  readonly maxBatchSize?: number;
  /**
   * Microseconds that a request may wait for others to share its batch, 0 to 1000000.
   * @default 500
   */
  readonly maxQueueDelayMicroseconds?: number;
  /**
   * Copies of the model that compute at the same time on each server, 1 to 64.
   * @default 1
   */
  readonly instances?: number;
  /**
   * One request in this many is sampled, 1 to 1000000. The features of sampled requests are counted for drift.
   * @default 10
   */
  readonly traceOneIn?: number;
  /**
   * Whether the model computes on a GPU where Triton has one. Otherwise it computes on the CPU.
   * @default true
   */
  readonly gpu?: boolean;
  /**
   * Whether a challenger also scores sampled requests before the gate decides. The gate waits until it has scored 200
   * rows, at most ten minutes. Its predictions are counted and never returned to a client.
   * @default false
   */
  readonly shadow?: boolean;
  /**
   * Whether sampled requests and their predictions are kept in the object store, to compare them with labels that
   * arrive later.
   * @default false
   */
  readonly payloads?: boolean;
  /**
   * How long the object store keeps sampled requests. The step `monitor` deletes older ones, also those from before a
   * change of this value.
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
