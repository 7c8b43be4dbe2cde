import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { load, loadAll } from 'js-yaml';
import type { Manifest } from '../../lib/contract/manifests';
import { CUSTOM_RESOURCES_LABEL } from '../../lib/core/custom-resource';

export const DIST = join(__dirname, '../../dist');

/** Folder of each environment below `dist/`. */
export const ENVIRONMENTS = ['.', 'laptop', 'production'];

/** Path below `folder` to text, for every file in it. */
export function filesOf(folder: string): Record<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  return Object.fromEntries(
    entries
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
      .map((path) => [path.slice(folder.length + 1), readFileSync(path, 'utf8')]),
  );
}

/** The objects of one environment as `kubectl apply` sees them. */
export function appliedObjects(environment: string): Manifest[] {
  const folder = join(DIST, environment);
  return readdirSync(folder)
    .filter((name) => name.endsWith('.yaml'))
    .sort()
    .flatMap((name) => loadAll(readFileSync(join(folder, name), 'utf8')) as Manifest[]);
}

/** The custom resources that travel in ConfigMaps. */
export function customResources(objects: readonly Manifest[]): Manifest[] {
  return objects
    .filter(({ metadata }) => metadata.labels?.[CUSTOM_RESOURCES_LABEL])
    .flatMap(({ data }) =>
      Object.values(data as Record<string, string>).map((text) => load(text) as Manifest),
    );
}
