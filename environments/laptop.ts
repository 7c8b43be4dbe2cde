import { defineEnvironment } from '../lib';

/** One node without a GPU: everything on its default. */
export const laptop = defineEnvironment({});
