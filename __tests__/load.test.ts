import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { loadPipelines } from '../lib';
import { SOURCE_TYPES } from '../lib/collection/source';
import { TRIP } from './support/trip';

let folder: string;

beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'pipelines-'))));
afterEach(() => rmSync(folder, { recursive: true }));

describe('the pipelines of a folder', () => {
  test('are loaded by name, each with its model', () => {
    write('trip', {});
    write('fare', { 'model.py': `${MODEL}\n# fare\n` });
    const pipelines = loadPipelines(folder);
    expect(pipelines.map(({ definition }) => definition.name)).toEqual(['fare', 'trip']);
    expect(pipelines[0]!.model).toContain('# fare');
  });

  test('are found from the current folder too', () => {
    write('trip', {});
    expect(loadPipelines(relative(process.cwd(), folder))).toHaveLength(1);
  });

  test('leave hidden folders and files beside them alone', () => {
    write('trip', {});
    mkdirSync(join(folder, '.cache'));
    writeFileSync(join(folder, 'README.md'), '');
    expect(loadPipelines(folder)).toHaveLength(1);
  });
});

describe('a folder of pipelines', () => {
  test('may have symbolic links to a pipeline and to a model', () => {
    write('trip', {});
    renameSync(join(folder, 'trip'), join(folder, '.trip'));
    symlinkSync('.trip', join(folder, 'trip'));
    renameSync(join(folder, '.trip/model.py'), join(folder, '.trip/shared.py'));
    symlinkSync('shared.py', join(folder, '.trip/model.py'));
    expect(loadPipelines(folder).map(({ model }) => model)).toEqual([MODEL]);
  });

  test('may have what systems, editors and Python leave, also where a pipeline has gone', () => {
    write('trip', {});
    for (const name of ['.DS_Store', 'Thumbs.db', 'README.md~', 'trip/model.py~', 'trip/._model.py'])
      writeFileSync(join(folder, name), '\0');
    for (const name of ['__pycache__', 'gone/__pycache__', '.pytest_cache'])
      mkdirSync(join(folder, name), { recursive: true });
    expect(loadPipelines(folder)).toHaveLength(1);
  });

  test.each(['\r\n', '\r'])(
    'gives the same model with the line ends %j, and with a byte order mark',
    (end) => {
      write('trip', {
        'model.py': `\ufeff${MODEL.replaceAll('\n', end)}`,
        'pipeline.ts': `\ufeff${definition('trip').replaceAll('\n', end)}`,
      });
      expect(loadPipelines(folder)[0]!.model).toBe(MODEL);
    },
  );
});

describe('the pipelines of a folder are refused', () => {
  test.each<[string, () => void, string]>([
    [
      'with a link that leads nowhere',
      () => symlinkSync('nowhere', join(folder, 'fare')),
      'fare: must be a folder, got a symbolic link that leads nowhere; remove it, or correct it',
    ],
    [
      'with a link to a folder that git wrote as text',
      () => writeFileSync(join(folder, 'fare'), 'trip'),
      "fare: must be a folder, got the path 'trip', which git writes for a symbolic link where core.symlinks is false",
    ],
    [
      'with an empty folder',
      () => mkdirSync(join(folder, 'fare')),
      'fare/pipeline.ts: is required, got no such file',
    ],
    [
      'with two folders that are one where case is ignored',
      () => write('Trip', { 'pipeline.ts': definition('trip') }),
      "Trip: must have a name without upper-case letters, got 'Trip'; rename the folder",
    ],
    [
      'with a file whose name differs in case',
      () => {
        write('fare', { 'model.py': undefined });
        writeFileSync(join(folder, 'fare/Model.py'), MODEL);
      },
      "fare/model.py: is required, got 'Model.py'; rename it",
    ],
    [
      'with a model in UTF-16',
      () => {
        write('fare', { 'model.py': undefined });
        writeFileSync(join(folder, 'fare/model.py'), MODEL, 'utf16le');
      },
      'fare/model.py: must be text in UTF-8, got a zero byte in line 1; save it as UTF-8',
    ],
    [
      'with a definition in UTF-16',
      () => {
        write('fare', { 'pipeline.ts': undefined });
        writeFileSync(join(folder, 'fare/pipeline.ts'), `\ufeff${definition('fare')}`, 'utf16le');
      },
      'fare/pipeline.ts: must be text in UTF-8, got UTF-16; save it as UTF-8',
    ],
    [
      'with the name of another model in the place of one',
      () => write('fare', { 'model.py': '../trip/model.py' }),
      "fare/model.py: must be the file itself, got the path '../trip/model.py'",
    ],
  ])('%s', (_, change, says) => {
    write('trip', {});
    change();
    expect(() => loadPipelines(folder)).toThrow(says);
  });

  test('with file, line and column, and without a stack, where a definition is not valid TypeScript', () => {
    write('trip', { 'pipeline.ts': "export const pipeline = { name: 'trip'\n  owner: 'us' };\n" });
    const program = `
      const { loadPipelines, definitionFault } = require('./lib');
      try { loadPipelines(${JSON.stringify(folder)}); } catch (error) { console.log(definitionFault(error)); }`;
    const { stdout } = spawnSync('node_modules/.bin/ts-node', ['--eval', program], { encoding: 'utf8' });
    expect(stdout).toMatch(/^a definition is not valid TypeScript:\n.*Expected ','/);
    expect(stdout).toContain(`${join(folder, 'trip/pipeline.ts')}:2:1]`);
    expect(stdout).not.toMatch(/backtrace|unknown|node_modules/);
  });

  test('where the folder is missing', () => {
    expect(() => loadPipelines(join(folder, 'none'))).toThrow(
      /none: must hold a folder for each model, as in/,
    );
  });

  test('where the folder is empty', () => {
    expect(() => loadPipelines(folder)).toThrow(/must hold a folder for each model.*pipeline\.ts, got none/);
  });

  test.each<[string, Record<string, string | undefined>, string | RegExp]>([
    ['without a model', { 'model.py': undefined }, 'trip/model.py: is required, got no such file'],
    ['without a definition', { 'pipeline.ts': undefined }, 'trip/pipeline.ts: is required, got no such file'],
    [
      'without the function train',
      { 'model.py': 'def features(batch):\n  pass\n' },
      "trip/model.py: must define the function 'train' at its top level, got none",
    ],
    [
      'with a function that is not at the top',
      { 'model.py': `def train(rows):\n  pass\nclass A:\n  def features(self): pass\n` },
      "must define the function 'features' at its top level",
    ],
    [
      'with another export',
      { 'pipeline.ts': 'export const model = 1;' },
      "trip/pipeline.ts: must export 'pipeline', made by definePipeline, got nothing",
    ],
    [
      'with an export that definePipeline never checked',
      { 'pipeline.ts': "export const pipeline = { name: 'trip', owner: '' };" },
      /pipeline "trip" cannot be synthesized:\n {2}- owner: must not be empty, got ""\n {2}- source: is required/,
    ],
    [
      'with a source of unknown type that definePipeline never checked',
      {
        'pipeline.ts': `export const pipeline = ${JSON.stringify({ ...TRIP, name: 'trip', source: { type: 'ftp' } })};`,
      },
      `source.type: must be one of ${SOURCE_TYPES.join(', ')}, got "ftp"`,
    ],
    [
      'with a name in the place of a definition',
      { 'pipeline.ts': "export const pipeline = 'trip';" },
      "name must be its folder's",
    ],
    [
      'with the name of another folder',
      { 'pipeline.ts': definition('fare') },
      "trip/pipeline.ts: name must be its folder's, 'trip', got \"fare\"",
    ],
    ['with a wrong definition', { 'pipeline.ts': definition('TRIP') }, 'name: must be a DNS label'],
    ['with a definition that does not run', { 'pipeline.ts': "throw new Error('boom');" }, 'boom'],
  ])('%s', (_, files, says) => {
    write('trip', files);
    expect(() => loadPipelines(folder)).toThrow(says);
  });

  test('with all faults of a pipeline in one error', () => {
    write('trip', { 'model.py': '', 'pipeline.ts': 'export {};' });
    expect(() => loadPipelines(folder)).toThrow(/must export 'pipeline'[^]*'features'[^]*'train'/);
  });
});

const MODEL = 'def features(batch):\n  pass\n\n\ndef train(rows):\n  pass\n';

/** A pipeline's folder; a file that is given as undefined is left out. */
function write(name: string, files: Record<string, string | undefined>): void {
  mkdirSync(join(folder, name));
  const all = { 'pipeline.ts': definition(name), 'model.py': MODEL, ...files };
  for (const [file, content] of Object.entries(all)) {
    if (content !== undefined) writeFileSync(join(folder, name, file), content);
  }
}

function definition(name: string): string {
  return `
    import { definePipeline } from '${join(__dirname, '../lib')}';
    export const pipeline = definePipeline(${JSON.stringify({ ...TRIP, name })});
  `;
}
