import { METRICS } from '../definitions/names';

/** What the sidecar beside Triton says at /metrics: docs/lifecycle.md tells what each means. */
export const MODEL_SYNC_METRICS = Object.values(METRICS);
