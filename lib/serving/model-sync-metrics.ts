import { METRICS } from '../definitions/names';

/** Metrics of Triton's sidecar. docs/lifecycle.md describes each. */
export const MODEL_SYNC_METRICS = Object.values(METRICS);
