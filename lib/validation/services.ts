import { type Manifest, matches, type Pod, podsOf, title } from './manifests';

interface Backend {
  readonly name: string;
  readonly port: { readonly name?: string; readonly number?: number };
}

interface Rule {
  readonly http: { readonly paths: readonly { readonly backend: { readonly service: Backend } }[] };
}

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
    (pod) =>
      pod.namespace === service.metadata.namespace &&
      // A Service without a selector selects no pod; its endpoints are written by hand.
      service.spec.selector !== undefined &&
      matches(pod.labels, service.spec.selector),
  );
}

function checkService(service: Manifest, pods: readonly Pod[]): string[] {
  const behind = podsBehind(service, pods);
  if (behind.length === 0) {
    return [
      `${title(service)}: selects no pod: none in its namespace has ${JSON.stringify(service.spec.selector ?? {})}`,
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
  const backends: Backend[] = ((ingress.spec.rules ?? []) as Rule[]).flatMap(({ http }) =>
    http.paths.map(({ backend }) => backend.service),
  );
  return backends.flatMap((backend) => {
    const service = services.find(
      ({ metadata }) => metadata.name === backend.name && metadata.namespace === ingress.metadata.namespace,
    );
    if (!service) return [`${title(ingress)}: leads to Service '${backend.name}', which does not exist`];
    const ports: { name: string; port: number }[] = service.spec.ports;
    const wanted = backend.port.name ?? backend.port.number;
    if (ports.some(({ name, port }) => wanted === name || wanted === port)) return [];
    const names = ports.map(({ name }) => name);
    return [
      `${title(ingress)}: leads to port '${wanted}' of ${title(service)}, which has ${names.join(', ')}`,
    ];
  });
}

function portList(pod: Pod): string {
  return pod.portNames.length > 0 ? `it has ${pod.portNames.join(', ')}` : 'it has none';
}
