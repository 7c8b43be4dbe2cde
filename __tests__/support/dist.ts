import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Manifest } from '../../lib/validation/manifests';
import { appliedObjects, DIST } from '../../scripts/platform/manifests';

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
export function objectsOf(environment: string): Manifest[] {
  return appliedObjects(join(DIST, environment));
}
