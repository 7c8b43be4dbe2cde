import names from '../../contract/names.json';

/**
 * Names and constants that TypeScript and Python share. They are in `contract/names.json`, which Python reads too
 * (`python/lifecycle/names.py`). Code uses the key, as in `METRICS.liveError`; the value is what the cluster and its
 * users see.
 */
export const {
  apiVersion: API_VERSION,
  labels: LABELS,
  steps: STEPS,
  functions: FUNCTIONS,
  alerts: RETRAINING_ALERTS,
  monitoredNamespaceLabel: MONITORED_NAMESPACE_LABEL,
  binKinds: BIN_KINDS,
  periods: PERIOD_PATTERNS,
  ports: PORTS,
  paths: SIDECAR_PATHS,
  environment: ENVIRONMENT,
  files: FILES,
  folders: FOLDERS,
  defaults: DEFAULTS,
} = names;

/** Names of the sidecar's metrics. */
export const METRICS = Object.fromEntries(
  Object.entries(names.metrics).map(([key, { name }]) => [key, name]),
) as Record<keyof typeof names.metrics, string>;
