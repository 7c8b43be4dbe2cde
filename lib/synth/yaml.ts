import { dump } from 'js-yaml';
import type { Manifest } from '../validation/manifests';

/** An object as YAML. Long lines are not folded, so that a diff shows what changed. */
export function yaml(manifest: Manifest): string {
  return dump(manifest, { lineWidth: -1, noRefs: true });
}
