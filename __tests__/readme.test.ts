import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { transformSync } from '@swc/core';
import * as lib from '../lib';
import { scripts } from '../package.json';
import { TRIP } from './support/trip';

const root = join(__dirname, '..');
const pages = [
  'README.md',
  'docs/architecture.md',
  'docs/bootstrap.md',
  'docs/lifecycle.md',
  'docs/decisions/0001-custom-resources-travel-in-configmaps.md',
];

test("the README's first model is a pipeline that synthesizes, with 'lib' as its only import", () => {
  const [, code] = /```ts\n([\s\S]*?)```/.exec(readFileSync(join(root, 'README.md'), 'utf8'))!;
  const { code: javascript } = transformSync(code!, {
    jsc: { parser: { syntax: 'typescript' } },
    module: { type: 'commonjs' },
  });
  const exported: { pipeline?: lib.PipelineDefinition } = {};
  new Function('exports', 'require', javascript)(exported, (name: string) => {
    expect(name).toBe('../../lib');
    return lib;
  });
  expect(exported.pipeline).toMatchObject({
    name: 'trip-duration',
    gate: { margin: 0.01 },
    serving: { instances: 1 },
  });
});

test('the error that the README shows is the one that synth prints', () => {
  const [, shown] = /```text\n([\s\S]*?)\n```/.exec(readFileSync(join(root, 'README.md'), 'utf8'))!;
  const wrong = { request: '10GB' } as unknown as { request: '10Gi' };
  expect(() => lib.definePipeline({ ...TRIP, name: 'trip-duration', trainer: { memory: wrong } })).toThrow(
    expect.objectContaining({ message: shown }),
  );
});

test.each(pages)('every link of %s leads to a file', (page) => {
  const text = readFileSync(join(root, page), 'utf8');
  const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map(([, link]) =>
    join(dirname(page), link!),
  );
  expect(links.filter((link) => !existsSync(join(root, link)))).toEqual([]);
});

test.each(pages)('every npm script of %s exists', (page) => {
  const text = readFileSync(join(root, page), 'utf8');
  const named = [...text.matchAll(/npm run ([a-z:-]+)/g)].map(([, script]) => script!);
  expect(named.filter((script) => !(script in scripts))).toEqual([]);
});
