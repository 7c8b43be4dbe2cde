import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isLitter } from '../definitions/litter';
import { textFile } from '../definitions/text-file';
import { OWNERSHIP_LABELS } from '../kubernetes/labels';

/** File of the definitions in each environment's folder. Its name sorts before all others. */
export const DEFINITIONS_FILE = '00-crds.yaml';

/**
 * The pinned CustomResourceDefinitions of imports/ as YAML, file by file. The platform's labels are added, by which
 * `npm run deploy` recognizes them: it changes no others.
 */
export function customResourceDefinitions(): string[] {
  const folder = join(__dirname, '../../imports/crds');
  return readdirSync(folder)
    .filter((file) => !isLitter(file))
    .sort()
    .map((file) =>
      textFile(join(folder, file))
        .replace(/^# Generated .*\n/, '')
        .replaceAll(/^metadata:\n/gm, `metadata:\n  labels:\n${LABELS}`),
    );
}

const LABELS = Object.entries(OWNERSHIP_LABELS)
  .map(([name, value]) => `    ${name}: ${value}\n`)
  .join('');
