import { load } from 'js-yaml';
import { title, type Manifest } from '../../../lib/validation/manifests';
import { OWNERSHIP_LABELS } from '../../../lib/kubernetes/labels';
import { PLATFORM_NAMESPACE } from '../../../lib/kubernetes/namespaces';
import { kubectl, list, send } from './kubectl';

/** Its name in the cluster. */
const NAME = 'custom-resources';
/** On the ConfigMaps that custom resources travelled in. */
const LABEL = 'mlops-lifecycle/custom-resources';
const OURS = `--selector=app.kubernetes.io/part-of=${OWNERSHIP_LABELS['app.kubernetes.io/part-of']}`;

/**
 * What is left of the applier of earlier releases, as `Deployment mlops-platform/custom-resources`.
 * It put custom resources back to what ConfigMaps say and deleted those that no ConfigMap holds:
 * docs/decisions/0008.
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

/** Takes the applier out and leaves all that it applied, ready for `kubectl apply`. */
export function removeApplier(objects: readonly Manifest[]): void {
  // While a pod of it lives, a missing ConfigMap means to it that what that held is to be deleted.
  const [deployments, others] = [true, false].map((is) =>
    objects.filter(({ kind }) => (kind === 'Deployment') === is),
  ) as [Manifest[], Manifest[]];
  for (const each of deployments) remove(each, '--cascade=foreground');
  hand(others.flatMap(carried));
  for (const each of others) remove(each);
}

function remove({ kind, metadata }: Manifest, ...args: string[]): void {
  const what = `${kind.toLowerCase()}/${metadata.name}`;
  kubectl('delete', what, `--namespace=${metadata.namespace}`, '--ignore-not-found', '--timeout=2m', ...args);
}

function carried({ metadata, data }: Manifest): Manifest[] {
  if (!metadata.labels?.[LABEL]) return [];
  return Object.values(data as Record<string, string>).map((text) => load(text) as Manifest);
}

/**
 * Notes in each custom resource what was applied, as `kubectl apply` does: it removes a field that
 * a manifest has no more only where it finds the field in that note.
 */
function hand(resources: readonly Manifest[]): void {
  const there = new Set(list<Manifest>(KINDS, '--all-namespaces', OURS).map(title));
  const noted = resources.filter((resource) => there.has(title(resource)));
  if (noted.length > 0) send(['apply', 'set-last-applied', '--create-annotation'], noted);
}

const KINDS = ['alertmanagers', 'podmonitors', 'prometheuses', 'prometheusrules', 'servicemonitors']
  .map((plural) => `${plural}.monitoring.coreos.com`)
  .join(',');
