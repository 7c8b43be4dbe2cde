import { defineEnvironment } from '../lib';

/** One node without a GPU. Every value is the default. */
export const laptop = defineEnvironment({});
