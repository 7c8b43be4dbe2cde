import { load } from 'js-yaml';
import { title, type Manifest } from '../../../lib/validation/manifests';
import { OWNERSHIP_LABELS } from '../../../lib/kubernetes/labels';
import { PLATFORM_NAMESPACE } from '../../../lib/kubernetes/namespaces';
import { kubectl, list, send } from './kubectl';

/** Name of the applier's objects in the cluster. */
const NAME = 'custom-resources';
/** Label of the ConfigMaps that contained custom resources. */
const LABEL = 'mlops-lifecycle/custom-resources';
const OURS = `--selector=app.kubernetes.io/part-of=${OWNERSHIP_LABELS['app.kubernetes.io/part-of']}`;

/**
 * Objects of the applier, a program of earlier releases, that the cluster still has. The applier
 * (`Deployment mlops-platform/custom-resources`) created custom resources from ConfigMaps, and deleted those that no
 * ConfigMap contained: docs/decisions/0008.
 */
export function applierObjects(): Manifest[] {
  const kinds = 'deployments.apps,networkpolicies,rolebindings,roles,serviceaccounts';
  return [
    ...list<Manifest>(kinds, '--all-namespaces', OURS, `--field-selector=metadata.name=${NAME}`),
    ...list<Manifest>(
      'configmaps',
      '--all-namespaces',
      OURS,
      `--field-selector=metadata.name=${NAME}-program`,
    ),
    ...list<Manifest>('configmaps', `--namespace=${PLATFORM_NAMESPACE}`, `--selector=${LABEL}`),
  ];
}

/** Deletes the applier, and prepares the custom resources that it created for `kubectl apply`. */
export function removeApplier(objects: readonly Manifest[]): void {
  // First the Deployment with its pods: a running applier deletes the custom resources of a deleted ConfigMap.
  const [deployments, others] = [true, false].map((is) =>
    objects.filter(({ kind }) => (kind === 'Deployment') === is),
  ) as [Manifest[], Manifest[]];
  for (const each of deployments) remove(each, '--cascade=foreground');
  setLastApplied(others.flatMap(customResourcesIn));
  for (const each of others) remove(each);
}

function remove({ kind, metadata }: Manifest, ...args: string[]): void {
  const what = `${kind.toLowerCase()}/${metadata.name}`;
  kubectl('delete', what, `--namespace=${metadata.namespace}`, '--ignore-not-found', '--timeout=2m', ...args);
}

/** The custom resources that a ConfigMap contains. */
function customResourcesIn({ metadata, data }: Manifest): Manifest[] {
  if (!metadata.labels?.[LABEL]) return [];
  return Object.values(data as Record<string, string>).map((text) => load(text) as Manifest);
}

/**
 * Sets the annotation `last-applied-configuration` of the custom resources. `kubectl apply` removes a field that is no
 * longer in a manifest only where the annotation contains it.
 */
function setLastApplied(resources: readonly Manifest[]): void {
  const there = new Set(list<Manifest>(KINDS, '--all-namespaces', OURS).map(title));
  const existing = resources.filter((resource) => there.has(title(resource)));
  if (existing.length > 0) send(['apply', 'set-last-applied', '--create-annotation'], existing);
}

const KINDS = ['alertmanagers', 'podmonitors', 'prometheuses', 'prometheusrules', 'servicemonitors']
  .map((plural) => `${plural}.monitoring.coreos.com`)
  .join(',');
