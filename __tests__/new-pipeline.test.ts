import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadPipelines } from '../lib';
import { laptop } from '../environments/laptop';
import { render } from '../lib/synth/render';

const folder = mkdtempSync(join(tmpdir(), 'new-pipeline-'));

afterAll(() => rmSync(folder, { recursive: true }));

test('npm run new-pipeline makes a pipeline that synthesizes, with a test beside it', () => {
  const { status, output } = newPipeline('ice-cream');
  expect(output).toContain('npm run synth');
  expect(output).toContain('npm run deploy -- ENVIRONMENT ');
  expect(status).toBe(0);
  expect(readdirSync(join(folder, 'ice-cream')).sort()).toEqual(['model.py', 'pipeline.ts', 'test_model.py']);
  const pipelines = loadPipelines(folder);
  expect(pipelines.map(({ definition }) => definition.name)).toEqual(['ice-cream']);
  expect([...render('test', laptop, pipelines).keys()].join(' ')).toContain('60-pipeline-ice-cream');
  for (const file of ['model.py', 'pipeline.ts', 'test_model.py']) {
    expect(readFileSync(join(folder, 'ice-cream', file), 'utf8')).not.toContain('NAME');
  }
});

test.each([
  [[], 'name one pipeline'],
  [['a', 'b'], 'name one pipeline'],
  [['Ice_Cream'], "'Ice_Cream' must be a DNS label"],
  [['../out'], "'../out' must be a DNS label"],
])('npm run new-pipeline refuses %j and makes nothing', (names, problem) => {
  const before = readdirSync(folder);
  const { status, output } = newPipeline(...names);
  expect(output).toContain(problem);
  expect(status).toBe(1);
  expect(readdirSync(folder)).toEqual(before);
});

test('npm run new-pipeline leaves alone a folder that is there already', () => {
  mkdirSync(join(folder, 'mine'));
  const { status, output } = newPipeline('mine');
  expect(output).toContain('is there already');
  expect(status).toBe(1);
  expect(readdirSync(join(folder, 'mine'))).toEqual([]);
  rmSync(join(folder, 'mine'), { recursive: true });
});

/** Runs the command with these arguments; pipelines are made in the test's folder. */
function newPipeline(...names: string[]) {
  const { status, stdout, stderr } = spawnSync(
    join(__dirname, '../node_modules/.bin/ts-node'),
    ['scripts/cli/new-pipeline.ts', ...names, '--folder', folder],
    { cwd: join(__dirname, '..'), encoding: 'utf8' },
  );
  return { status, output: stdout + stderr };
}
