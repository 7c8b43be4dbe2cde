import { dump } from 'js-yaml';
import { type Manifest, title } from '../../../lib/validation/manifests';
import { OWNERSHIP_LABELS } from '../../../lib/kubernetes/labels';
import { customResources } from '../../../scripts/cli/platform/manifests';

const NAME = 'custom-resources';

/**
 * The objects of a cluster of the release before. Its custom resources were in ConfigMaps, from which a program of the
 * platform applied them (docs/decisions/0008).
 * @param objects those of today's release
 * @param changed namespace and name of the Prometheus that had fields then which it no longer has
 * @returns the objects that `kubectl apply` applied, and the custom resources that the program applied
 */
export function theReleaseBefore(
  objects: readonly Manifest[],
  changed: string,
): { applied: Manifest[]; carried: Manifest[] } {
  const custom = customResources(objects);
  const carried = custom.map((resource) =>
    title(resource) === `Prometheus ${changed}`
      ? {
          ...resource,
          metadata: {
            ...resource.metadata,
            labels: { ...resource.metadata.labels, 'of-the-release-before': 'true' },
          },
          spec: { ...resource.spec, externalLabels: { a: 'of-the-release-before' } },
        }
      : resource,
  );
  const plain = objects
    .filter((object) => !custom.includes(object))
    .map((object) => (isUnmarked(object) ? unmarked(object) : object));
  return { applied: [...plain, ...carriers(carried), ...program()], carried };
}

/** Whether an object had no label in that release that says whose it is: the definitions and the namespace. */
function isUnmarked({ kind, metadata }: Manifest): boolean {
  return kind === 'CustomResourceDefinition' || metadata.name === 'mlops-platform';
}

function unmarked(object: Manifest): Manifest {
  const labels = { ...object.metadata.labels };
  delete labels['mlops-lifecycle/environment'];
  const { labels: _, ...metadata } = object.metadata;
  return { ...object, metadata: object.kind === 'Namespace' ? { ...metadata, labels } : metadata };
}

/** A ConfigMap for each resource. That release had one for each file, which makes no difference to its readers. */
function carriers(resources: readonly Manifest[]): Manifest[] {
  return resources.map((resource, i) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: `${NAME}-${i}`,
      namespace: 'mlops-platform',
      labels: { ...OWNERSHIP_LABELS, [`mlops-lifecycle/${NAME}`]: 'true' },
    },
    data: { [`resource-${i}.yaml`]: dump(resource) },
  }));
}

/** The Deployment of the program, and the objects that it needed. */
function program(): Manifest[] {
  const labels = { ...OWNERSHIP_LABELS };
  const pods = { 'app.kubernetes.io/name': 'mlops-platform', 'app.kubernetes.io/component': NAME };
  const at = (namespace: string, name = NAME) => ({ name, namespace, labels });
  const namespaces = ['mlops-nodes', 'mlops-platform', 'mlops-steps'];
  const rbac = 'rbac.authorization.k8s.io';
  return [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: at('mlops-platform', `${NAME}-program`),
      data: { 'apply_custom_resources.py': '' },
    },
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: at('mlops-platform') },
    ...namespaces.flatMap((namespace) => [
      {
        apiVersion: `${rbac}/v1`,
        kind: 'Role',
        metadata: at(namespace),
        rules: [{ apiGroups: ['monitoring.coreos.com'], resources: ['podmonitors'], verbs: ['list'] }],
      },
      {
        apiVersion: `${rbac}/v1`,
        kind: 'RoleBinding',
        metadata: at(namespace),
        roleRef: { apiGroup: rbac, kind: 'Role', name: NAME },
        subjects: [{ kind: 'ServiceAccount', name: NAME, namespace: 'mlops-platform' }],
      },
    ]),
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: at('mlops-platform'),
      spec: { podSelector: { matchLabels: pods }, policyTypes: ['Egress', 'Ingress'] },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: at('mlops-platform'),
      spec: {
        selector: { matchLabels: pods },
        template: {
          metadata: { labels: pods },
          spec: { containers: [{ name: NAME, image: 'docker.io/library/python:3.14-slim' }] },
        },
      },
    },
  ];
}
