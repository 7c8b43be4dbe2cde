import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The pinned CustomResourceDefinitions as YAML, file by file, as they stand in imports/. */
export function customResourceDefinitions(): string[] {
  const folder = join(__dirname, '../../imports/crds');
  return readdirSync(folder)
    .sort()
    .map((file) => readFileSync(join(folder, file), 'utf8').replace(/^# Generated .*\n/, ''));
}
