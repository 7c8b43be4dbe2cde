import { type Manifest, matches, type Pod, podsOf, title } from './manifests';

/** Every Service selects a pod and a port that exist; every Ingress a Service and a port. */
export function checkServices(manifests: readonly Manifest[]): string[] {
  const pods = podsOf(manifests);
  const services = manifests.filter(({ kind }) => kind === 'Service');
  return [
    ...services.flatMap((service) => checkService(service, pods)),
    ...manifests
      .filter(({ kind }) => kind === 'Ingress')
      .flatMap((ingress) => checkIngress(ingress, services)),
  ];
}

function podsBehind(service: Manifest, pods: readonly Pod[]): Pod[] {
  return pods.filter(
    (pod) => pod.namespace === service.metadata.namespace && matches(pod.labels, service.spec.selector),
  );
}

function checkService(service: Manifest, pods: readonly Pod[]): string[] {
  const behind = podsBehind(service, pods);
  if (behind.length === 0) {
    return [
      `${title(service)}: selects no pod: none in its namespace has ${JSON.stringify(service.spec.selector)}`,
    ];
  }
  return (service.spec.ports as { name: string; targetPort?: string | number; port: number }[]).flatMap(
    (port) => {
      const target = port.targetPort ?? port.port;
      return behind
        .filter(
          (pod) =>
            !(typeof target === 'number' ? pod.portNumbers.includes(target) : pod.portNames.includes(target)),
        )
        .map(
          (pod) =>
            `${title(service)}: port '${port.name}' leads to '${target}', which ${pod.owner} does not have (${portList(pod)})`,
        );
    },
  );
}

function checkIngress(ingress: Manifest, services: readonly Manifest[]): string[] {
  const backends: { name: string; port: { name: string } }[] = ingress.spec.rules.flatMap(
    (rule: { http: { paths: { backend: { service: { name: string; port: { name: string } } } }[] } }) =>
      rule.http.paths.map((path) => path.backend.service),
  );
  return backends.flatMap((backend) => {
    const service = services.find(
      ({ metadata }) => metadata.name === backend.name && metadata.namespace === ingress.metadata.namespace,
    );
    if (!service) return [`${title(ingress)}: leads to Service '${backend.name}', which does not exist`];
    const names = service.spec.ports.map((port: { name: string }) => port.name);
    if (names.includes(backend.port.name)) return [];
    return [
      `${title(ingress)}: leads to port '${backend.port.name}' of ${title(service)}, which has ${names.join(', ')}`,
    ];
  });
}

function portList(pod: Pod): string {
  return pod.portNames.length > 0 ? `it has ${pod.portNames.join(', ')}` : 'it has none';
}
