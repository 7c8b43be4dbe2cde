/** Labels that say which platform an object belongs to. Never part of a selector. */
export const OWNERSHIP_LABELS = {
  'app.kubernetes.io/managed-by': 'mlops-lifecycle',
  'app.kubernetes.io/part-of': 'mlops-platform',
} as const;

/** On the platform's namespace: the name of the environment that the cluster runs. */
export const ENVIRONMENT_LABEL = 'mlops-lifecycle/environment';

/** On a namespace, with the value `true`: our Prometheus takes the monitors and rules in it. */
export const MONITORED_LABEL = 'mlops-lifecycle/monitored';
