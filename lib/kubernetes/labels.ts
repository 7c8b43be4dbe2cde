/** Labels that say which platform an object belongs to. Never part of a selector. */
export const OWNERSHIP_LABELS = {
  'app.kubernetes.io/managed-by': 'mlops-lifecycle',
  'app.kubernetes.io/part-of': 'mlops-platform',
} as const;

/** Label of the platform's namespace. Its value is the name of the environment that the cluster runs. */
export const ENVIRONMENT_LABEL = 'mlops-lifecycle/environment';

/** Label of a namespace. With the value `true`, the platform's Prometheus uses the namespace's monitors and rules. */
export const MONITORED_LABEL = 'mlops-lifecycle/monitored';
