import { type Manifest, podsOf, strings, title } from './manifests';

const IN_CLUSTER = /\b([a-z0-9][-a-z0-9]*)\.([a-z0-9][-a-z0-9]*)\.svc\b(?:\.cluster\.local)?(?::(\d+))?/g;

/**
 * Every in-cluster address leads to a Service and a port of it, but for those of other namespaces; every address of
 * MLflow is on its allow-list.
 */
export function checkAddresses(
  manifests: readonly Manifest[],
  otherNamespaces: readonly string[] = [],
): string[] {
  const services = manifests.filter(({ kind }) => kind === 'Service');
  const allowed = mlflowAllowList(manifests);
  return manifests.flatMap((manifest) =>
    [...strings(manifest)].flatMap(({ path, text }) =>
      [...text.matchAll(IN_CLUSTER)].flatMap(([address, name, namespace, port]) => {
        // The cluster itself makes the API server's Service.
        if (name === 'kubernetes' && namespace === 'default') return [];
        if (otherNamespaces.includes(namespace!)) return [];
        const where = `${title(manifest)}: ${path} has '${address}'`;
        const service = services.find(
          ({ metadata }) => metadata.name === name && metadata.namespace === namespace,
        );
        if (!service) return [`${where}, but there is no Service '${name}' in ${namespace}`];
        const ports: number[] = service.spec.ports.map((candidate: { port: number }) => candidate.port);
        if (port && !ports.includes(Number(port))) {
          return [`${where}, but ${title(service)} has the ports ${ports.join(', ')}`];
        }
        if (name === 'mlflow' && !allowed.includes(address)) {
          return [`${where}, which MLflow would answer with 403: add it to MLFLOW_SERVER_ALLOWED_HOSTS`];
        }
        return [];
      }),
    ),
  );
}

function mlflowAllowList(manifests: readonly Manifest[]): string[] {
  return podsOf(manifests)
    .flatMap(({ containers }) => containers.flatMap(({ env }) => env ?? []))
    .filter(({ name }) => name === 'MLFLOW_SERVER_ALLOWED_HOSTS')
    .flatMap(({ value }) => value?.split(',') ?? []);
}
