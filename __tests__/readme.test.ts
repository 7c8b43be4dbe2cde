import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { transformSync } from '@swc/core';
import * as lib from '../lib';
import { TRIP } from './support/trip';

const root = join(__dirname, '..');

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
