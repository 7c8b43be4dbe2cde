import { Accelerator, defineEnvironment } from '../lib';

/** One node with one GPU, which Triton takes; training runs on the CPU beside it. */
export const workstation = defineEnvironment({
  accelerator: Accelerator.nvidia({ count: 1 }),
});
