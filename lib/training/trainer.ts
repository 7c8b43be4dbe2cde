import { z } from 'zod';
import type { Bytes, Cpu, Range } from '../definitions/quantity';
import { rules, type Duration } from '../definitions/rules';

/** Resources and time limit of the training step. */
export interface Trainer {
  /**
   * CPU cores.
   * @default - 500m, unlimited
   */
  readonly cpu?: Range<Cpu>;
  /**
   * Memory.
   * @default - 1Gi, at most 2Gi
   */
  readonly memory?: Range<Bytes>;
  /**
   * Number of GPUs, at least 1 and at most what Triton leaves. In an environment without GPUs the step trains on the
   * CPU.
   * @default - none
   */
  readonly gpu?: number;
  /**
   * Time after which the step is stopped. It then counts as failed and is not repeated.
   * @default 1h
   */
  readonly timeout?: Duration;
}

export const trainerSchema = z.strictObject({
  cpu: rules.cpuRange().prefault({ request: '500m' }),
  memory: rules.bytesRange().prefault({ request: '1Gi', limit: '2Gi' }),
  gpu: rules.gpus().optional(),
  timeout: rules.duration().default('1h'),
});

/** Checked, with its defaults filled in. */
export type TrainerDefinition = z.output<typeof trainerSchema>;
