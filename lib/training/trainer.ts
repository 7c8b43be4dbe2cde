import { z } from 'zod';
import type { Bytes, Cpu, Range } from '../definitions/quantity';
import { rules, type Duration } from '../definitions/rules';

/** What a training step gets. */
export interface Trainer {
  /**
   * Cores.
   * @default - 500m, unlimited
   */
  readonly cpu?: Range<Cpu>;
  /**
   * Memory.
   * @default - 1Gi, at most 2Gi
   */
  readonly memory?: Range<Bytes>;
  /**
   * Whole GPUs, where the environment has GPUs; elsewhere training runs on the CPU.
   * @default - none
   */
  readonly gpu?: number;
  /**
   * After which a training run is stopped as failed.
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
