import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
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
import { load, loadAll } from 'js-yaml';
import { defineEnvironment, definePipeline, synthesize } from '../lib';
import { type Manifest, title } from '../lib/validation/manifests';
import { PLATFORM_NAMESPACE } from '../lib/kubernetes/namespaces';
import { chartObjects, MAX_RELEASE_BYTES, writeChart } from '../lib/synth/chart';
import { escapeTemplate, templates } from '../lib/synth/chart-template';
import { appliedObjects } from '../scripts/cli/platform/manifests';
import { filesOf } from './support/dist';
import { TRIP } from './support/trip';
import { OBJECT_STORE } from './support/object-store';

const ROOT = join(__dirname, '..');
const laptop = defineEnvironment({});
/** Text that Helm would read as a template, with blank lines at its end, which Helm would cut off. */
const MODEL = 'A = "{{ .Values.a }}{{- x -}} {{{{{ }}}}} {{/* c */}} {{`x`}}"\n---\n\n\n';

let base: string;
let chart: string;
let dist: Manifest[];
let rendered: Manifest[];

beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'chart-'));
  chart = join(base, 'chart');
  const pipelines = [pipeline('trip', MODEL)];
  synthesize({ environments: { laptop }, pipelines, outdir: join(base, 'dist') });
  dist = appliedObjects(join(base, 'dist/laptop'));
  write(pipelines);
  rendered = renderFolder(join(chart, 'templates'));
});
afterAll(() => rmSync(base, { recursive: true }));

describe('the chart', () => {
  test('holds every object of dist exactly once, letter by letter', () => {
    const inChart = dist.filter((manifest) => !isDefinition(manifest) && !isOwnNamespace(manifest));
    expect(inChart.length).toBeGreaterThan(100);
    const titles = rendered.map(title);
    expect(new Set(titles).size).toBe(titles.length);
    for (const manifest of inChart) {
      const found = rendered.find((other) => title(other) === title(manifest));
      expect(withoutPolicy(found!)).toEqual(manifest);
    }
    const more = titles.filter((name) => !inChart.map(title).includes(name));
    expect(more.map((name) => name.replace(/-[0-9a-f]{8,}$/, '')).sort()).toEqual([
      'ConfigMap mlops-platform/label-namespace',
      'Job mlops-platform/label-namespace',
      'NetworkPolicy mlops-platform/label-namespace',
      'Role mlops-platform/label-namespace',
      'RoleBinding mlops-platform/label-namespace',
      'ServiceAccount mlops-platform/label-namespace',
    ]);
  });

  test('escapes every pair of braces that alerts, dashboards, DAGs and models contain', () => {
    const braces = JSON.stringify(dist).split('{{').length - 1;
    expect(braces).toBeGreaterThan(50);
    expect(JSON.stringify(rendered).split('{{').length - 1).toBe(braces);
    const model = rendered.flatMap(({ data }) => data?.['model.py'] ?? []);
    expect(model).toEqual([MODEL]);
  });

  test('puts the definitions where Helm installs them first, and nowhere else', () => {
    const crds = Object.values(filesOf(join(chart, 'crds'))).map((text) => load(text) as Manifest);
    const wanted = dist.filter(isDefinition);
    expect(wanted.length).toBeGreaterThan(5);
    expect(crds.map(title).sort()).toEqual(wanted.map(title).sort());
    for (const crd of wanted) expect(crds).toContainEqual(crd);
    expect(rendered.filter(isDefinition)).toEqual([]);
  });

  test('does not own the namespace it is installed into, and labels it as dist does', () => {
    const namespaces = rendered
      .filter(({ kind }) => kind === 'Namespace')
      .map(({ metadata }) => metadata.name);
    expect(namespaces.sort()).toEqual(['mlops-nodes', 'mlops-steps']);
    const { data } = rendered.find(
      ({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === 'label-namespace',
    )!;
    const { labels } = JSON.parse(data['labels.json']).metadata;
    expect(labels).toEqual(dist.find(isOwnNamespace)!.metadata.labels);
    expect(labels).toMatchObject({ 'pod-security.kubernetes.io/enforce': 'restricted' });
    const role = rendered.find(
      ({ kind, metadata }) => kind === 'Role' && metadata.name === 'label-namespace',
    )!;
    expect(role.rules).toEqual([
      { apiGroups: [''], resources: ['namespaces'], resourceNames: [PLATFORM_NAMESPACE], verbs: ['patch'] },
    ]);
  });

  test('keeps the data of its namespace through an uninstall', () => {
    const claims = rendered.filter(({ kind }) => kind === 'PersistentVolumeClaim');
    const kept = claims.filter(
      ({ metadata }) => metadata.annotations?.['helm.sh/resource-policy'] === 'keep',
    );
    expect(kept.map(title).sort()).toEqual(
      ['grafana-data', OBJECT_STORE.claim, 'postgres-data']
        .sort()
        .map((name) => `PersistentVolumeClaim ${PLATFORM_NAMESPACE}/${name}`),
    );
    for (const claim of claims.filter((each) => !kept.includes(each)))
      expect(claim.metadata.namespace).toBe('mlops-steps');
  });

  test('has no values, and looks at them only to refuse them', () => {
    expect(loadAll(readFileSync(join(chart, 'values.yaml'), 'utf8'))).toEqual([]);
    const asking = Object.entries(filesOf(join(chart, 'templates')))
      .filter(([, text]) => /\{\{-? *(if|fail|include|lookup|range|with) /.test(text))
      .map(([name]) => name);
    expect(asking).toEqual(['refusals.yaml']);
  });

  test('names the pages in its notes', () => {
    const hosts = dist.filter(({ kind }) => kind === 'Ingress').map(({ spec }) => spec.rules[0].host);
    expect(hosts.length).toBeGreaterThan(2);
    const notes = readFileSync(join(chart, 'templates/NOTES.txt'), 'utf8');
    for (const host of hosts) expect(notes).toContain(`  http://${host}\n`);
  });

  test('comes out the same twice', () => {
    const before = filesOf(chart);
    write([pipeline('trip', MODEL)]);
    expect(filesOf(chart)).toEqual(before);
  });
});

describe('a template', () => {
  test.each(['{{', '{{{', '{{{{', '{{{{{', '}}', '{{ a }}', '{ {', '{{"{{"}}', '{{- a -}}', '{{/* a */}}'])(
    'renders %s as it is',
    (text) => {
      expect(renderText(`a${escapeTemplate(text)}b`)).toBe(`a${text}b`);
    },
  );

  test('keeps the blank lines that a last value ends with', () => {
    const files = templates(new Map([['a', [configMap('one', 'x\n\n\n'), configMap('two', 'x\n')]]]));
    const objects = documents(renderText(files.get('a.yaml')!));
    expect(objects.map(({ data }) => data.text)).toEqual(['x\n\n\n', 'x\n']);
  });
});

describe('no chart is written', () => {
  test('that is too large for a Helm release', () => {
    const pipelines = Array.from({ length: 4 }, (_, i) => pipeline(`model-${i}`, `# ${noise(i, 150_000)}\n`));
    const outdir = join(base, 'large');
    expect(() => write(pipelines, outdir)).toThrow(
      new RegExp(`a Helm release holds ${MAX_RELEASE_BYTES} bytes, and this one would need \\d{7}`),
    );
    expect(existsSync(outdir)).toBe(false);
  });

  test('over files of somebody else', () => {
    const outdir = join(base, 'mine');
    mkdirSync(outdir);
    writeFileSync(join(outdir, 'Chart.yaml'), 'name: mine\n');
    expect(() => write([], outdir)).toThrow(join(outdir, 'Chart.yaml'));
    expect(filesOf(outdir)).toEqual({ 'Chart.yaml': 'name: mine\n' });
  });
});

describe('npm run chart', () => {
  test('writes the environment that it is given', () => {
    const outdir = join(base, 'command');
    const { status, stdout } = command('laptop', '--outdir', outdir);
    expect(stdout).toMatch(/command: laptop, \d+ objects; a release takes at most \d+ of 1048576 bytes/);
    expect(status).toBe(0);
    expect(readdirSync(outdir).sort()).toEqual(['Chart.yaml', 'crds', 'templates', 'values.yaml']);
    expect(load(readFileSync(join(outdir, 'Chart.yaml'), 'utf8'))).toMatchObject({
      name: 'mlops-platform',
      description: expect.stringContaining('laptop'),
    });
  });

  test.each([
    [['desktop'], "there is no environment 'desktop'; there are workstation, laptop, production"],
    [['laptop', 'production'], "name one environment, got 'laptop production'"],
    [['--out'], 'usage: npm run chart'],
  ])('refuses %j', (args, says) => {
    const { status, stderr } = command(...args);
    expect(stderr).toContain(says);
    expect(status).toBe(1);
  });
});

test('chartObjects names no object twice over all files', () => {
  const titles = [...chartObjects('laptop', laptop, [pipeline('trip', MODEL)]).values()].flat().map(title);
  expect(new Set(titles).size).toBe(titles.length);
});

function write(pipelines: ReturnType<typeof pipeline>[], outdir = chart): void {
  writeChart({ name: 'laptop', environment: laptop, pipelines, version: '1.2.3', outdir });
}

function command(...args: string[]) {
  return spawnSync(join(ROOT, 'node_modules/.bin/ts-node'), [join(ROOT, 'scripts/cli/chart.ts'), ...args], {
    cwd: base,
    encoding: 'utf8',
    // ts-node looks for its settings beside the script.
    env: { ...process.env, TS_NODE_PROJECT: join(ROOT, 'tsconfig.json') },
  });
}

function pipeline(name: string, model: string) {
  return { model, definition: definePipeline({ ...TRIP, name }) };
}

function configMap(name: string, text: string): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: PLATFORM_NAMESPACE },
    data: { text },
  };
}

/** Text that hardly compresses, the same for the same seed. */
function noise(seed: number, length: number): string {
  let text = '';
  for (let i = 0; text.length < length; i++)
    text += createHash('sha512').update(`${seed} ${i}`).digest('base64').slice(0, 20) + ' ';
  return text.slice(0, length);
}

function isDefinition({ kind }: Manifest): boolean {
  return kind === 'CustomResourceDefinition';
}

function isOwnNamespace({ kind, metadata }: Manifest): boolean {
  return kind === 'Namespace' && metadata.name === PLATFORM_NAMESPACE;
}

function withoutPolicy(manifest: Manifest): Manifest {
  if (!manifest.metadata.annotations?.['helm.sh/resource-policy']) return manifest;
  const { annotations: _, ...metadata } = manifest.metadata;
  return { ...manifest, metadata };
}

function renderFolder(folder: string): Manifest[] {
  const { 'NOTES.txt': _, 'refusals.yaml': __, ...files } = filesOf(folder);
  return Object.values(files).flatMap((text) => documents(renderText(text)));
}

/** Renders the one action of Helm's template language that our objects need. @throws Error for every other action */
function renderText(text: string): string {
  return text.replace(/\{\{([^]*?)\}\}/g, (action, inner: string) => {
    if (inner === ' "{{" ') return '{{';
    throw new Error(`Helm would read ${action}`);
  });
}

/** The objects of a file as Helm cuts them apart (`releaseutil.SplitManifests`). */
function documents(text: string): Manifest[] {
  return text
    .trim()
    .split(/(?:^|\s*\n)---\s*/)
    .flatMap((document) => loadAll(document.trim()) as Manifest[]);
}
