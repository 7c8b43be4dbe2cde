import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { loadAll } from 'js-yaml';
import { Accelerator, defineEnvironment, definePipeline, synthesize } from '../lib';
import type { Manifest } from '../lib/validation/manifests';
import { replaceFolder } from '../lib/synth/replace-folder';
import { yaml } from '../lib/synth/yaml';
import { TRIP } from './support/trip';

const HEADER = '# ours\n';
const laptop = defineEnvironment({});
const workstation = defineEnvironment({ accelerator: Accelerator.nvidia() });

let base: string;
let outdir: string;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'synth-'));
  outdir = join(base, 'dist');
});
afterEach(() => rmSync(base, { recursive: true }));

describe('a folder is replaced', () => {
  test('as a whole: stale files and folders vanish', () => {
    replaceFolder(outdir, files({ 'a.yaml': 'old', 'gone.yaml': 'old', 'gone/b.yaml': 'old' }), HEADER);
    replaceFolder(outdir, files({ 'a.yaml': 'new', 'deep/er/c.yaml': 'new' }), HEADER);
    expect(snapshot(outdir)).toEqual({ 'a.yaml': `${HEADER}new`, 'deep/er/c.yaml': `${HEADER}new` });
    expect(readdirSync(base)).toEqual(['dist']);
  });

  test('where nothing was before, parents and all', () => {
    replaceFolder(join(base, 'a/b/dist'), files({ 'a.yaml': 'new' }), HEADER);
    expect(snapshot(base)).toEqual({ 'a/b/dist/a.yaml': `${HEADER}new` });
  });

  test.each(['notes.md', 'deep/notes.md', '.hidden'])(
    'never where it holds somebody else’s file %s',
    (path) => {
      replaceFolder(outdir, files({ 'a.yaml': 'old', 'deep/b.yaml': 'old' }), HEADER);
      writeFileSync(join(outdir, path), 'mine');
      const before = snapshot(outdir);
      expect(() => replaceFolder(outdir, files({ 'a.yaml': 'new' }), HEADER)).toThrow(
        new RegExp(`holds files that no synth wrote; move them[^]*${join(outdir, path)}$`),
      );
      expect(snapshot(outdir)).toEqual(before);
      expect(readdirSync(base)).toEqual(['dist']);
    },
  );

  test('with what a file manager has left in it, and where git has written it with CRLF', () => {
    replaceFolder(outdir, files({ 'a.yaml': 'old' }), HEADER);
    writeFileSync(join(outdir, 'a.yaml'), '# ours\r\nold');
    writeFileSync(join(outdir, '.DS_Store'), '\0');
    replaceFolder(outdir, files({ 'a.yaml': 'new' }), HEADER);
    expect(snapshot(outdir)).toEqual({ 'a.yaml': `${HEADER}new` });
  });

  test('or left as it was, where a file cannot be written', () => {
    replaceFolder(outdir, files({ 'a.yaml': 'old' }), HEADER);
    const before = snapshot(outdir);
    // No file and folder can have the same name.
    expect(() => replaceFolder(outdir, files({ a: 'new', 'a/b.yaml': 'new' }), HEADER)).toThrow();
    expect(snapshot(outdir)).toEqual(before);
    expect(readdirSync(base)).toEqual(['dist']);
  });
});

describe('a synth', () => {
  test('adds one file to each environment for a new pipeline, and removes it with the pipeline', () => {
    synth(['trip']);
    const first = snapshot(outdir);
    const modules = ['00-crds', '10-foundation', '20-workflow', '30-training', '40-serving', '50-monitoring'];
    const names = [...modules, '60-pipeline-trip'].map((name) => `${name}.yaml`);
    expect(Object.keys(first)).toEqual([...names, ...names.map((name) => `laptop/${name}`)].sort());

    synth(['fare', 'trip']);
    const {
      '60-pipeline-fare.yaml': fare,
      'laptop/60-pipeline-fare.yaml': laptops,
      ...rest
    } = snapshot(outdir);
    expect(rest).toEqual(first);
    expect(fare).toContain('name: pipeline-fare');
    expect(laptops).toContain('name: pipeline-fare');

    synth(['trip']);
    expect(snapshot(outdir)).toEqual(first);
  });

  test('takes many pipelines, each with the same number of objects', () => {
    const names = Array.from({ length: 50 }, (_, i) => `model-${i}`);
    synthesize({ environments: { '.': laptop }, pipelines: names.map((name) => pipeline(name)), outdir });
    const counts = names.map((name) => objectsOf(`60-pipeline-${name}.yaml`).length);
    expect(readdirSync(outdir)).toHaveLength(56);
    expect(new Set(counts).size).toBe(1);
  });

  test('keeps every character of a model, also those that YAML treats in a special way', () => {
    const model =
      'def f():\r\n\ttext = "--- \u2028 \u0000 #: {a} 🚕 \ufeff"  \n# yes\n...\n---\nkind: Secret\n\n\n';
    synthesize({ environments: { '.': laptop }, pipelines: [pipeline('trip', { model })], outdir });
    const objects = objectsOf('60-pipeline-trip.yaml');
    expect(objects.map(({ kind }) => kind)).toEqual(['PrometheusRule', 'ConfigMap', 'ConfigMap']);
    expect(objects[2]!.data['model.py']).toBe(model);
  });

  test('quotes a name that YAML would read as another type', () => {
    for (const name of ['yes', 'no', 'on', 'off', 'null', 'true', 'y', 'n']) {
      expect(yaml(object('ConfigMap', name))).toMatch(`name: '${name}'`);
    }
  });

  test('leaves the old files as they were where it fails', () => {
    write([pipeline('trip')]);
    const before = snapshot(outdir);
    const failures: [fails: () => void, says: string][] = [
      [() => synth(['trip', 'trip']), 'rename one of two, got "trip"'],
      [
        () => write([pipeline('trip', { model: 'X = "http://a:hunter2@b"' })]),
        "environment '.' is wired wrongly",
      ],
      [
        () => write([pipeline('trip', { gpu: 2 })]),
        'must not be more than the environment leaves to training: 0',
      ],
      [() => write([], '../elsewhere'), 'got "../elsewhere"'],
      [() => write([], './'), "lower-case letters, digits and dashes, or '.'"],
    ];
    for (const [fails, says] of failures) {
      expect(fails).toThrow(says);
      expect(snapshot(outdir)).toEqual(before);
      expect(readdirSync(base)).toEqual(['dist']);
    }
  });

  test('writes nothing into a folder that holds somebody else’s file', () => {
    mkdirSync(outdir);
    writeFileSync(join(outdir, 'notes.md'), 'mine');
    expect(() => synth(['trip'])).toThrow(join(outdir, 'notes.md'));
    expect(snapshot(base)).toEqual({ 'dist/notes.md': 'mine' });
  });
});

describe('npx cdk8s synth', () => {
  beforeEach(() => {
    const besides = ['.git', '__tests__', 'dist', 'docs', 'node_modules'];
    cpSync(join(__dirname, '..'), base, {
      recursive: true,
      filter: (path) => !besides.includes(basename(path)),
    });
    symlinkSync(join(__dirname, '../node_modules'), join(base, 'node_modules'));
    cpSync(join(__dirname, '../dist'), outdir, { recursive: true });
  });

  test('leaves dist as it was where a definition is refused', () => {
    const before = snapshot(outdir);
    writeFileSync(
      join(base, 'environments/laptop.ts'),
      "import { defineEnvironment } from '../lib';\nexport const laptop = defineEnvironment({ gpus: -1 });\n",
    );
    const { status, stderr } = cdk8s('synth');
    expect(stderr).toContain('environment cannot be synthesized:\n  - gpus: must be');
    expect(status).toBe(1);
    expect(snapshot(outdir)).toEqual(before);
  });

  test('writes what `npm run synth` writes, and lists the files', () => {
    const wanted = snapshot(outdir);
    writeFileSync(join(outdir, '10-foundation.yaml'), wanted['10-foundation.yaml']!.slice(0, 1000));
    rmSync(join(outdir, 'laptop'), { recursive: true });
    const { status, stdout } = cdk8s('synth');
    expect(status).toBe(0);
    expect(snapshot(outdir)).toEqual(wanted);
    expect(stdout.match(/\S+\.yaml$/gm)).toHaveLength(Object.keys(wanted).length);
  });

  function cdk8s(...args: string[]) {
    return spawnSync('npx', ['cdk8s', ...args], {
      cwd: base,
      encoding: 'utf8',
      // `npm run check` has looked at the types, and nothing here asks the network.
      env: { ...process.env, CDK8S_CHECK_UPGRADE: 'false', TS_NODE_TRANSPILE_ONLY: 'true' },
    });
  }
});

function synth(names: string[]): void {
  write(names.map((name) => pipeline(name)));
}

function write(pipelines: ReturnType<typeof pipeline>[], folder = 'laptop'): void {
  synthesize({ environments: { '.': workstation, [folder]: laptop }, pipelines, outdir });
}

function pipeline(name: string, { model = '# a model\n', gpu }: { model?: string; gpu?: number } = {}) {
  return { model, definition: definePipeline({ ...TRIP, name, trainer: { gpu } }) };
}

function object(kind: string, name: string, apiVersion = 'v1'): Manifest {
  return { apiVersion, kind, metadata: { name, namespace: 'a' } };
}

function objectsOf(file: string): Manifest[] {
  return loadAll(readFileSync(join(outdir, file), 'utf8')) as Manifest[];
}

function files(contents: Record<string, string>): Map<string, string> {
  return new Map(Object.entries(contents).map(([path, text]) => [path, HEADER + text]));
}

/** The texts of all files below a folder, by their paths in it. */
function snapshot(folder: string): Record<string, string> {
  if (!existsSync(folder)) return {};
  const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  return Object.fromEntries(paths.map((path) => [path.slice(folder.length + 1), readFileSync(path, 'utf8')]));
}
