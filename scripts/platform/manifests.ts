import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { load, loadAll } from 'js-yaml';
import type { Manifest } from '../../lib/validation/manifests';
import { CUSTOM_RESOURCES_LABEL } from '../../lib/kubernetes/custom-resource';
import { Failure } from './kubectl';

/** Where `npm run synth` writes; it reads the same variable. */
export const DIST = process.env.CDK8S_OUTDIR ?? join(__dirname, '../../dist');

/** The objects of a folder as `kubectl apply` sees them. @throws Failure when there are none. */
export function appliedObjects(folder: string): Manifest[] {
  const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.yaml')) : [];
  if (files.length === 0) throw new Failure(`${folder} holds no YAML; 'npm run synth' writes it`);
  return files.sort().flatMap((name) => loadAll(readFileSync(join(folder, name), 'utf8')) as Manifest[]);
}

/** The custom resources that travel in ConfigMaps. */
export function customResources(objects: readonly Manifest[]): Manifest[] {
  return objects
    .filter(({ metadata }) => metadata.labels?.[CUSTOM_RESOURCES_LABEL])
    .flatMap(({ data }) =>
      Object.values(data as Record<string, string>).map((text) => load(text) as Manifest),
    );
}
