import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const FOLDER = join(__dirname, '../../lifecycle');

/** The text of a program in `lifecycle/` that runs in the cluster. */
export function lifecycleProgram(name: string): string {
  return readFileSync(join(FOLDER, name), 'utf8');
}

/** Every module of the package `lifecycle`, file name to text: what `python -m lifecycle` runs. */
export function lifecyclePackage(): Record<string, string> {
  const modules = readdirSync(join(FOLDER, 'lifecycle')).filter((name) => name.endsWith('.py'));
  return Object.fromEntries(modules.sort().map((name) => [name, lifecycleProgram(`lifecycle/${name}`)]));
}
