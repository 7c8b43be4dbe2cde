import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { textFile } from '../definitions/text-file';

const FOLDER = join(__dirname, '../../python');
const NAMES = join(__dirname, '../../contract/names.json');

/** The text of a file in `python/`. */
export function pythonFile(name: string): string {
  return textFile(join(FOLDER, name));
}

/**
 * Files of the package `lifecycle`: the given modules, all that they import, and names.json where they need it. Others
 * are left out, because `kubectl apply` takes objects of less than 256 KiB.
 *
 * @param modules names in the package, as in `steps.collect`
 * @param folder prefix of each path, for a ConfigMap that has other files too: `lifecycle/`
 * @returns path in the package to text
 */
export function packageFiles(modules: readonly string[], folder = ''): Record<string, string> {
  const texts = new Map<string, string>();
  const add = (module: string): void => {
    if (texts.has(module)) return;
    const text = pythonFile(moduleFile(module));
    texts.set(module, text);
    [...packagesAround(module), ...imported(text)].forEach(add);
  };
  modules.forEach(add);
  const files: (readonly [string, string])[] = [...texts.keys()]
    .sort()
    .map((module) => [`${pathOf(module)}.py`, texts.get(module)!]);
  // Not lifecycle/names.json, a symbolic link to it: git writes no links where core.symlinks is false.
  if (texts.has('names')) files.push(['names.json', textFile(NAMES)]);
  return Object.fromEntries(files.map(([file, text]) => [`${folder}${file}`, text]));
}

/** What Python imports before a module: `__init__` and `steps.__init__` before `steps.collect`. */
function packagesAround(module: string): string[] {
  const folders = module.split('.').slice(0, -1);
  return ['', ...folders].map((_, depth) => [...folders.slice(0, depth), '__init__'].join('.'));
}

/** Modules of the package that a module's text imports, inside of functions too. */
function imported(text: string): string[] {
  const whole = [...text.matchAll(/^\s*import lifecycle\.([\w.]+)/gm)].map(([, module]) => module!);
  const parts = [...text.matchAll(/^\s*from lifecycle(?:\.([\w.]+))? import (?:\(([^)]*)\)|(.*))$/gm)];
  return [
    ...whole,
    ...parts.flatMap(([, from, many, one]) => {
      if (from !== undefined && existsSync(join(FOLDER, moduleFile(from)))) return from;
      return (many ?? one)!.match(/\w+/g)!.map((name) => (from === undefined ? name : `${from}.${name}`));
    }),
  ];
}

function moduleFile(module: string): string {
  return `lifecycle/${pathOf(module)}.py`;
}

function pathOf(module: string): string {
  return module.replaceAll('.', '/');
}
