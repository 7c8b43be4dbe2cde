import { dump } from 'js-yaml';
import { CUSTOM_RESOURCES, CUSTOM_RESOURCES_LABEL, customResourceKey } from '../kubernetes/custom-resource';
import { DefinitionError } from '../definitions/definition-error';
import { OWNERSHIP_LABELS } from '../kubernetes/manifest-file';
import { PLATFORM_NAMESPACE } from '../kubernetes/namespaces';
import type { Manifest } from '../validation/manifests';

/**
 * The objects of one file, its custom resources put into a ConfigMap, from which
 * the cluster applies them once their definitions are there: docs/decisions/0001.
 */
export function packCustomResources(file: string, objects: readonly Manifest[]): Manifest[] {
  const custom = objects.filter(isCustom);
  if (custom.length === 0) return [...objects];
  const configMap: Manifest = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: `custom-resources-${file.replace(/^\d+-/, '')}`,
      namespace: PLATFORM_NAMESPACE,
      labels: { ...OWNERSHIP_LABELS, [CUSTOM_RESOURCES_LABEL]: 'true' },
    },
    data: Object.fromEntries(custom.map((manifest) => [keyOf(manifest), yaml(manifest)]).sort()),
  };
  return [...objects.filter((manifest) => !isCustom(manifest)), configMap];
}

/** An object as `dist/` spells it: no line is folded, so that a diff shows what changed. */
export function yaml(manifest: Manifest): string {
  return dump(manifest, { lineWidth: -1, noRefs: true });
}

function isCustom({ apiVersion }: Manifest): boolean {
  return apiVersion.startsWith(`${CUSTOM_RESOURCES.group}/`);
}

function keyOf({ kind, metadata }: Manifest): string {
  const plural = CUSTOM_RESOURCES.plurals[kind];
  if (!plural)
    throw new DefinitionError('CUSTOM_RESOURCES.plurals', 'must have the plural of each kind', kind);
  return customResourceKey({
    plural,
    namespace: metadata.namespace!,
    name: metadata.name,
  });
}
