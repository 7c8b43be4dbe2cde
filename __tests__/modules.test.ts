import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';

const LIB = join(__dirname, '../lib');
/** In the order of a model's life: values flow down it, and nothing reads back up. */
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
const CONSTRUCTS = ['Foundation', 'Airflow', 'MLflow', 'Triton', 'Monitoring', 'Pipeline'];
const SHARED = ['definitions', 'kubernetes', 'observability'];

/** Every import of lib by lib: who, from which folder or file, and what as values. */
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

const strays = (module: string, allowed: (from: string) => boolean) =>
  imports.filter((i) => i.module === module && !allowed(i.from)).map((i) => `${i.file} imports ${i.from}`);

test('a good part of lib imports another', () => expect(imports.length).toBeGreaterThan(150));

test.each(MODULES)('%s knows itself, what all modules share, and the modules before it', (module) => {
  const known = [...SHARED, ...MODULES.slice(0, MODULES.indexOf(module) + 1)];
  expect(
    strays(module, (from) => known.includes(from.split(sep)[0]!) || from === 'validation/promql'),
  ).toEqual([]);
});

test.each([
  ['definitions', ['definitions']],
  ['kubernetes', ['definitions', 'kubernetes']],
  ['validation', ['definitions', 'kubernetes', 'validation']],
  ['observability', ['definitions', 'kubernetes', 'validation', 'observability']],
])('%s knows %j alone', (module, known) => {
  expect(strays(module, (from) => known.includes(from.split(sep)[0]!))).toEqual([]);
});

test('only the platform builds the modules', () => {
  const builders = imports.filter(({ values }) => values.some((name) => CONSTRUCTS.includes(name)));
  expect([...new Set(builders.map(({ file }) => file))]).toEqual(['platform.ts']);
});
