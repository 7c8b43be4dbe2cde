import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { dependencies } from '../package.json';

const LIB = join(__dirname, '../lib');
/** The modules in the order of a model's life: each may import those before it, none that comes later. */
const MODULES = [
  'foundation',
  'workflow',
  'collection',
  'training',
  'registry',
  'serving',
  'monitoring',
  'pipeline',
];
const CONSTRUCTS = [
  'Foundation',
  'Airflow',
  'MLflow',
  'Triton',
  'OwnMonitoring',
  'ExistingMonitoring',
  'Pipeline',
];
const SHARED = ['definitions', 'kubernetes', 'observability'];

/**
 * Each import of one file of lib/ by another: the importing file, its module, the imported path, and the names imported
 * as values.
 */
const imports = readdirSync(LIB, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .flatMap((file) => {
    const text = readFileSync(join(LIB, file), 'utf8');
    return [...text.matchAll(/^(?:import|export)\s+(type\s)?([^;]*?)\sfrom '(\.[^']*)';/gms)]
      .map(([, type, names, path]) => ({
        file,
        module: file.split(sep)[0]!,
        from: relative(LIB, resolve(LIB, dirname(file), path!)),
        values: type ? [] : names!.split(/[{},]/).map((name) => name.trim()),
      }))
      .filter(({ from }) => !from.startsWith('..'));
  });

/** Imports of a module that lead elsewhere than it is allowed to, in words. */
const forbidden = (module: string, allowed: (from: string) => boolean) =>
  imports.filter((i) => i.module === module && !allowed(i.from)).map((i) => `${i.file} imports ${i.from}`);

test('the imports of lib are found', () => expect(imports.length).toBeGreaterThan(150));

test.each(MODULES)(
  '%s imports itself, what all modules share, and the modules before it, and nothing else',
  (module) => {
    const known = [...SHARED, ...MODULES.slice(0, MODULES.indexOf(module) + 1)];
    expect(
      forbidden(module, (from) => known.includes(from.split(sep)[0]!) || from === 'validation/promql'),
    ).toEqual([]);
  },
);

test.each([
  ['definitions', ['definitions']],
  ['kubernetes', ['definitions', 'kubernetes']],
  ['validation', ['definitions', 'kubernetes', 'validation']],
  ['observability', ['definitions', 'kubernetes', 'validation', 'observability']],
])('%s imports from %j alone', (module, known) => {
  expect(forbidden(module, (from) => known.includes(from.split(sep)[0]!))).toEqual([]);
});

test('only the platform builds the modules', () => {
  const builders = imports
    .filter(({ values }) => values.some((name) => CONSTRUCTS.includes(name)))
    // Which of the two ways of monitoring it is, the module itself knows.
    .filter(({ module, from }) => module !== from.split(sep)[0]);
  expect([...new Set(builders.map(({ file }) => file))]).toEqual(['platform.ts']);
});

test('every package that synth or a command imports is in dependencies, not in devDependencies', () => {
  const root = join(__dirname, '..');
  const files = ['lib', 'environments', 'pipelines', 'imports', 'scripts/cli'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .map((file) => join(root, folder, file)),
  );
  const packages = [join(root, 'main.ts'), ...files].flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/ from '((?:@[\w-]+\/)?[a-z][\w-]*)(?:\/[^']*)?';/g)].map(
      ([, name]) => name!,
    ),
  );
  expect(packages.length).toBeGreaterThan(100);
  // ts-node runs these files, and needs the other two.
  const needed = new Set([...packages, 'ts-node', 'typescript', '@swc/core']);
  expect([...needed].filter((name) => !(name in dependencies))).toEqual([]);
});
