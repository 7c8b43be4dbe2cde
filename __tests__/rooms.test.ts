import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';

const LIB = join(__dirname, '../lib');
/** In the order of a model's life: values flow down it, and nothing reads back up. */
const ROOMS = [
  'foundation',
  'workflow',
  'collection',
  'training',
  'registry',
  'serving',
  'monitoring',
  'pipeline',
];
const STAGES = ['Foundation', 'Airflow', 'MLflow', 'Triton', 'Monitoring', 'Pipeline'];
const SHARED = ['definitions', 'kubernetes', 'observability'];

/** Every import of lib by lib: who, from which folder or file, and what as values. */
const imports = readdirSync(LIB, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .flatMap((file) => {
    const text = readFileSync(join(LIB, file), 'utf8');
    return [...text.matchAll(/^(?:import|export)\s+(type\s)?([^;]*?)\sfrom '(\.[^']*)';/gms)]
      .map(([, type, names, path]) => ({
        file,
        room: file.split(sep)[0]!,
        from: relative(LIB, resolve(LIB, dirname(file), path!)),
        values: type ? [] : names!.split(/[{},]/).map((name) => name.trim()),
      }))
      .filter(({ from }) => !from.startsWith('..'));
  });

const strays = (room: string, allowed: (from: string) => boolean) =>
  imports.filter((i) => i.room === room && !allowed(i.from)).map((i) => `${i.file} imports ${i.from}`);

test('a good part of lib imports another', () => expect(imports.length).toBeGreaterThan(150));

test.each(ROOMS)('%s knows itself, what all rooms share, and the rooms before it', (room) => {
  const known = [...SHARED, ...ROOMS.slice(0, ROOMS.indexOf(room) + 1)];
  expect(strays(room, (from) => known.includes(from.split(sep)[0]!) || from === 'validation/promql')).toEqual(
    [],
  );
});

test.each([
  ['definitions', ['definitions']],
  ['kubernetes', ['definitions', 'kubernetes']],
  ['validation', ['definitions', 'kubernetes', 'validation']],
  ['observability', ['definitions', 'kubernetes', 'validation', 'observability']],
])('%s knows %j alone', (room, known) => {
  expect(strays(room, (from) => known.includes(from.split(sep)[0]!))).toEqual([]);
});

test('only the platform builds the rooms', () => {
  const builders = imports.filter(({ values }) => values.some((name) => STAGES.includes(name)));
  expect([...new Set(builders.map(({ file }) => file))]).toEqual(['platform.ts']);
});
