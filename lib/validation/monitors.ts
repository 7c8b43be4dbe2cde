import { type Manifest, matches, podsOf, title } from './manifests';

/**
 * Every ServiceMonitor selects a Service and a port of it; every PodMonitor a pod and a port of it. Where a Prometheus
 * is among the objects, it selects the namespace of every monitor and rule.
 */
export function checkMonitors(manifests: readonly Manifest[]): string[] {
  return [...checkTargets(manifests), ...checkNamespaces(manifests)];
}

/** The field of a Prometheus resource that selects the namespaces of a kind. */
const NAMESPACE_SELECTORS: Readonly<Record<string, string>> = {
  PodMonitor: 'podMonitorNamespaceSelector',
  PrometheusRule: 'ruleNamespaceSelector',
  ServiceMonitor: 'serviceMonitorNamespaceSelector',
};

function checkNamespaces(manifests: readonly Manifest[]): string[] {
  const servers = manifests.filter(({ kind }) => kind === 'Prometheus');
  const labels = new Map(
    manifests
      .filter(({ kind }) => kind === 'Namespace')
      .map(({ metadata }) => [metadata.name, metadata.labels]),
  );
  return manifests.flatMap((manifest) => {
    const selector = NAMESPACE_SELECTORS[manifest.kind];
    if (selector === undefined) return [];
    const { namespace } = manifest.metadata;
    return servers
      .filter(({ spec }) => !matches(labels.get(namespace!), spec[selector]?.matchLabels ?? {}))
      .map(
        (server) =>
          `${title(manifest)}: ${title(server)} takes none from namespace '${namespace}', ` +
          `which lacks ${JSON.stringify(server.spec[selector].matchLabels)}`,
      );
  });
}

function checkTargets(manifests: readonly Manifest[]): string[] {
  const services = manifests.filter(({ kind }) => kind === 'Service');
  const pods = podsOf(manifests);
  return manifests.flatMap((monitor) => {
    if (monitor.kind === 'ServiceMonitor') {
      const selected = services.filter((service) =>
        selects(monitor, service.metadata.namespace!, service.metadata.labels),
      );
      const ports = selected.map(
        (service) => service.spec.ports.map((port: { name: string }) => port.name) as string[],
      );
      return findings(monitor, 'Service', selected.map(title), ports, monitor.spec.endpoints);
    }
    if (monitor.kind === 'PodMonitor') {
      const selected = pods.filter((pod) => selects(monitor, pod.namespace, pod.labels));
      return findings(
        monitor,
        'pod',
        selected.map(({ owner }) => owner),
        selected.map(({ portNames }) => [...portNames]),
        monitor.spec.podMetricsEndpoints,
      );
    }
    return [];
  });
}

function selects(monitor: Manifest, namespace: string, labels?: Record<string, string>): boolean {
  const namespaces: string[] = monitor.spec.namespaceSelector?.matchNames ?? [monitor.metadata.namespace];
  return namespaces.includes(namespace) && matches(labels, monitor.spec.selector.matchLabels);
}

function findings(
  monitor: Manifest,
  what: string,
  owners: string[],
  ports: string[][],
  endpoints: { port: string }[],
): string[] {
  if (owners.length === 0) {
    return [
      `${title(monitor)}: selects no ${what}: none has ${JSON.stringify(monitor.spec.selector.matchLabels)}`,
    ];
  }
  return owners.flatMap((owner, i) =>
    endpoints
      .filter(({ port }) => !ports[i]!.includes(port))
      .map(
        ({ port }) =>
          `${title(monitor)}: scrapes port '${port}' of ${owner}, which has ${ports[i]!.join(', ') || 'none'}`,
      ),
  );
}
