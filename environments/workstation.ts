import { Accelerator, defineEnvironment } from '../lib';

/** One node with one GPU. Triton uses the GPU; training runs on the CPU. */
export const workstation = defineEnvironment({
  accelerator: Accelerator.nvidia({ count: 1 }),
});
