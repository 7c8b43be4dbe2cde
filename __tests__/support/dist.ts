import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Manifest } from '../../lib/validation/manifests';
import { appliedObjects, DIST } from '../../scripts/cli/platform/manifests';

/** The folders of the environments, below `dist/`. */
export const ENVIRONMENTS = ['.', 'laptop', 'production'];

/** The texts of all files in a folder, by their paths below it. */
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

const applied = new Map<string, Manifest[]>();

/** The objects of one environment as `kubectl apply` sees them. */
export function objectsOf(environment: string): readonly Manifest[] {
  const objects = applied.get(environment) ?? appliedObjects(join(DIST, environment));
  applied.set(environment, objects);
  return objects;
}
