import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The text of a program in `lifecycle/` that runs in the cluster. */
export function lifecycleProgram(name: string): string {
  return readFileSync(join(__dirname, '../../lifecycle', name), 'utf8');
}
