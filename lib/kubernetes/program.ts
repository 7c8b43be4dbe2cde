import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const FOLDER = join(__dirname, '../../lifecycle');

/** The text of a program in `lifecycle/` that runs in the cluster. */
export function lifecycleProgram(name: string): string {
  return readFileSync(join(FOLDER, name), 'utf8');
}

/**
 * The modules of the package `lifecycle` that these need, themselves among them: file name to text.
 * What is applied may hold 256 KiB, so a ConfigMap holds no module that its pods never import.
 */
export function lifecyclePackage(modules: readonly string[]): Record<string, string> {
  const needed = new Set(['__init__']);
  const add = (module: string): void => {
    if (needed.has(module)) return;
    needed.add(module);
    imported(lifecycleProgram(`lifecycle/${module}.py`)).forEach(add);
  };
  modules.forEach(add);
  const files = [...needed].sort().map((module) => `${module}.py`);
  return Object.fromEntries(files.map((file) => [file, lifecycleProgram(`lifecycle/${file}`)]));
}

/** Modules of the package that a module's text imports, wherever it does. */
function imported(text: string): string[] {
  const direct = [...text.matchAll(/^\s*(?:from|import) lifecycle\.(\w+)/gm)].map(([, module]) => module!);
  const lists = [...text.matchAll(/^\s*from lifecycle import (?:\(([^)]*)\)|(.*))$/gm)];
  return [...direct, ...lists.flatMap(([, many, one]) => (many ?? one)!.match(/\w+/g) ?? [])];
}
