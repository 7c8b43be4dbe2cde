import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadAll } from 'js-yaml';
import { Accelerator, defineEnvironment, definePipeline, synthesize } from '../lib';
import type { Manifest } from '../lib/validation/manifests';
import { CUSTOM_RESOURCES, CUSTOM_RESOURCES_LABEL } from '../lib/kubernetes/custom-resource';
import { packCustomResources, yaml } from '../lib/synth/custom-resources';
import { replaceFolder } from '../lib/synth/replace-folder';
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

  test.each(['notes.md', 'deep/notes.md', '.hidden'])('never where it holds %s of somebody else', (path) => {
    replaceFolder(outdir, files({ 'a.yaml': 'old', 'deep/b.yaml': 'old' }), HEADER);
    writeFileSync(join(outdir, path), 'mine');
    const before = snapshot(outdir);
    expect(() => replaceFolder(outdir, files({ 'a.yaml': 'new' }), HEADER)).toThrow(
      new RegExp(`holds files that no synth wrote; move them[^]*${join(outdir, path)}$`),
    );
    expect(snapshot(outdir)).toEqual(before);
    expect(readdirSync(base)).toEqual(['dist']);
  });

  test('or left as it was, where a file cannot be written', () => {
    replaceFolder(outdir, files({ 'a.yaml': 'old' }), HEADER);
    const before = snapshot(outdir);
    // A file and a folder of one name.
    expect(() => replaceFolder(outdir, files({ a: 'new', 'a/b.yaml': 'new' }), HEADER)).toThrow();
    expect(snapshot(outdir)).toEqual(before);
    expect(readdirSync(base)).toEqual(['dist']);
  });
});

describe('a synth', () => {
  test('of one pipeline more adds one file an environment, and of one less takes it away again', () => {
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

  test('keeps every letter of a model, whatever YAML thinks of it', () => {
    const model =
      'def f():\r\n\ttext = "--- \u2028 \u0000 #: {a} 🚕 \ufeff"  \n# yes\n...\n---\nkind: Secret\n\n\n';
    synthesize({ environments: { '.': laptop }, pipelines: [pipeline('trip', { model })], outdir });
    const objects = objectsOf('60-pipeline-trip.yaml');
    expect(objects.map(({ kind }) => kind)).toEqual(['ConfigMap', 'ConfigMap', 'ConfigMap']);
    expect(objects[1]!.data['model.py']).toBe(model);
  });

  test('keeps a name that YAML reads as something else', () => {
    for (const name of ['yes', 'no', 'on', 'off', 'null', 'true', 'y', 'n']) {
      expect(yaml(object('ConfigMap', name))).toMatch(`name: '${name}'`);
    }
  });

  test('that fails leaves the old files as they were', () => {
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

  test('into a folder of somebody else writes nothing', () => {
    mkdirSync(outdir);
    writeFileSync(join(outdir, 'notes.md'), 'mine');
    expect(() => synth(['trip'])).toThrow(join(outdir, 'notes.md'));
    expect(snapshot(base)).toEqual({ 'dist/notes.md': 'mine' });
  });
});

describe('custom resources', () => {
  test('travel in ConfigMaps, under keys that say where they live', () => {
    synthesize({ environments: { '.': workstation }, pipelines: [pipeline('trip')], outdir });
    const objects = readdirSync(outdir).flatMap((file) => objectsOf(file));
    expect(objects.filter(({ apiVersion }) => apiVersion.startsWith(CUSTOM_RESOURCES.group))).toEqual([]);
    const carriers = objects.filter(({ metadata }) => metadata.labels?.[CUSTOM_RESOURCES_LABEL]);
    const carried = carriers.flatMap(({ data }) => Object.entries(data as Record<string, string>));
    expect(carriers.length).toBeGreaterThan(3);
    expect(new Set(carried.map(([key]) => key)).size).toBe(carried.length);
    for (const [key, text] of carried) {
      const { apiVersion, kind, metadata } = loadAll(text)[0] as Manifest;
      const [group, version] = apiVersion.split('/');
      const plural = CUSTOM_RESOURCES.plurals[kind];
      expect(key).toBe(`${group}_${version}_${plural}_${metadata.namespace}_${metadata.name}.yaml`);
    }
  });

  test('have the plurals that their definitions say', () => {
    const folder = join(__dirname, '../imports/crds');
    const defined = readdirSync(folder)
      .flatMap((file) => loadAll(readFileSync(join(folder, file), 'utf8')) as Manifest[])
      .map(({ spec }) => [spec.names.kind, spec.names.plural, spec.group, spec.versions[0].name]);
    const { group, version, plurals } = CUSTOM_RESOURCES;
    for (const [kind, plural] of Object.entries(plurals)) {
      expect(defined).toContainEqual([kind, plural, group, version]);
    }
  });

  test('leave the other objects of a file where they are, and come last', () => {
    const packed = packCustomResources('50-monitoring', [
      object('Service', 'first'),
      object('PrometheusRule', 'rules', 'monitoring.coreos.com/v1'),
      object('Service', 'last'),
    ]);
    expect(packed.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual([
      'Service first',
      'Service last',
      'ConfigMap custom-resources-monitoring',
    ]);
  });

  test('of a kind whose plural nobody knows are refused', () => {
    const probe = object('Probe', 'x', 'monitoring.coreos.com/v1');
    expect(() => packCustomResources('50-monitoring', [probe])).toThrow(/plurals: must have .*, got "Probe"/);
  });
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

/** Path to content of every file below a folder. */
function snapshot(folder: string): Record<string, string> {
  if (!existsSync(folder)) return {};
  const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  return Object.fromEntries(paths.map((path) => [path.slice(folder.length + 1), readFileSync(path, 'utf8')]));
}
