/** The kinds that the platform's definitions bring: `imports/crds` has them. */
export const CUSTOM_RESOURCES = {
  group: 'monitoring.coreos.com',
  version: 'v1',
  /** Kind to plural, as its definition names it. */
  plurals: {
    Alertmanager: 'alertmanagers',
    PodMonitor: 'podmonitors',
    Prometheus: 'prometheuses',
    PrometheusRule: 'prometheusrules',
    ServiceMonitor: 'servicemonitors',
  } as Readonly<Record<string, string>>,
} as const;

/** Marks the ConfigMaps whose keys are custom resources. */
export const CUSTOM_RESOURCES_LABEL = 'mlops-lifecycle/custom-resources';

/** The key that says where a resource lives, so that its reader needs no YAML. */
export function customResourceKey(place: { plural: string; namespace: string; name: string }): string {
  const { group, version } = CUSTOM_RESOURCES;
  return `${[group, version, place.plural, place.namespace, place.name].join('_')}.yaml`;
}
