import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadAll } from 'js-yaml';
import { isLitter } from '../../../lib/definitions/litter';
import type { Manifest } from '../../../lib/validation/manifests';
import { Failure } from '../../command';

/** Where `npm run synth` writes; it reads the same variable. */
export const DIST = process.env.CDK8S_OUTDIR ?? join(__dirname, '../../../dist');

/** The objects of a folder as `kubectl apply` sees them. @throws Failure when there are none. */
export function appliedObjects(folder: string): Manifest[] {
  return appliedFiles(folder).flatMap(
    (name) => loadAll(readFileSync(join(folder, name), 'utf8')) as Manifest[],
  );
}

/** Names of a folder's files in the order of `kubectl apply`. @throws Failure when there are none. */
export function appliedFiles(folder: string): string[] {
  const files = existsSync(folder)
    ? readdirSync(folder).filter((name) => name.endsWith('.yaml') && !isLitter(name))
    : [];
  if (files.length === 0) throw new Failure(`${folder} holds no YAML; 'npm run synth' writes it`);
  return files.sort();
}

/** The objects whose kinds the Prometheus operator's definitions add. */
export function customResources(objects: readonly Manifest[]): Manifest[] {
  return objects.filter(({ apiVersion }) => apiVersion.startsWith('monitoring.coreos.com/'));
}
