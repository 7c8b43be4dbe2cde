import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dump } from 'js-yaml';
import { type Manifest, title } from '../../../lib/validation/manifests';
import { customResources, DIST } from '../../../scripts/cli/platform/manifests';
import { wantedWorkloads } from '../../../scripts/cli/platform/workloads';
import { ENVIRONMENTS, objectsOf } from '../../support/dist';
import { Cluster, report, timed } from '../support/cluster';
import { theReleaseBefore } from '../support/release-before';

const LAPTOP = join(DIST, 'laptop');
const PIPELINE = join(LAPTOP, '60-pipeline-trip-duration.yaml');
const BOOTSTRAP = join(__dirname, '../../../scripts/bootstrap.sh');
const KINDS = 'alertmanagers,podmonitors,prometheuses,prometheusrules,servicemonitors';

/** An API server, its controllers and etcd, but no node: each start takes seconds. */
const cluster = new Cluster(process.env.CLUSTER_NAME ?? 'fresh', true);
const objects = objectsOf('laptop');
const custom = customResources(objects);
const scratch = mkdtempSync(join(tmpdir(), 'fresh-'));

afterAll(() => {
  cluster.down();
  rmSync(scratch, { recursive: true });
});

describe('a cluster without definitions', () => {
  beforeAll(up);

  test('npm run deploy --dry-run counts every object', () => {
    expect(deploy('laptop', '--dry-run')).toMatchObject({
      status: 0,
      stdout: `laptop: ${objects.length} objects would be applied\n`,
      stderr: '',
    });
  });

  test('one kubectl apply exits 1, says that definitions are missing, and creates everything else', () => {
    const { status, output, lines } = apply();
    report(`the first apply exits ${status}: ${output.match(/resource mapping not found.*\n.*/)?.[0]}`);
    expect(status).toBe(1);
    const missing = lines.filter((line) => line.startsWith('resource mapping not found for name: '));
    expect(missing).toHaveLength(custom.length);
    expect(lines.filter((line) => line === 'ensure CRDs are installed first')).toHaveLength(custom.length);
    expect(lines.filter((line) => line.endsWith(' created'))).toHaveLength(objects.length - custom.length);
  });

  test('the same command again creates the rest and exits 0', () => {
    const { status, output, lines } = apply();
    expect(output).not.toMatch(/error|warning/i);
    expect(status).toBe(0);
    expect(lines.filter((line) => line.endsWith(' created'))).toHaveLength(custom.length);
    expect(lines).toHaveLength(objects.length);
  });

  test('after that, neither another apply nor kubectl diff changes or finds anything', expectSettled);

  test('kubectl delete of a pipeline takes its rules along, and an apply brings them back', () => {
    const rules = () => there().filter((name) => name.endsWith('/model-trip-duration'));
    expect(rules()).toEqual(['PrometheusRule mlops-platform/model-trip-duration']);
    cluster.kubectl('delete', '--filename', PIPELINE);
    expect(rules()).toEqual([]);
    expect(apply().status).toBe(0);
    expect(rules()).toHaveLength(1);
  });
});

describe('a cluster of scripts/bootstrap.sh', () => {
  beforeAll(up);

  test('gets the definitions from it, once', () => {
    const [first, second] = [bringDefinitions(), bringDefinitions()];
    expect(first).toMatchObject({
      status: 0,
      stdout: `definitions: the cluster has those of ${join(DIST, '00-crds.yaml')}\n`,
    });
    expect(second).toMatchObject({ status: 0, stdout: '' });
  });

  test('takes everything in one kubectl apply, which exits 0', () => {
    const { seconds, result } = timed(apply);
    report(`apply exits ${result.status} after ${seconds} s, ${result.lines.length} objects`);
    expect(result.output).not.toMatch(/error|warning/i);
    expect(result.status).toBe(0);
    const definitions = objects.filter(({ kind }) => kind === 'CustomResourceDefinition').length;
    expect(result.lines.filter((line) => line.endsWith(' unchanged'))).toHaveLength(definitions);
    expect(result.lines.filter((line) => line.endsWith(' created'))).toHaveLength(
      objects.length - definitions,
    );
  });

  test('after that, neither another apply nor kubectl diff changes or finds anything', expectSettled);
});

describe('npm run deploy', () => {
  beforeAll(up);

  test('refuses where somebody else’s newer or older definitions are, and changes nothing', () => {
    for (const version of ['0.100.0', '0.84.1']) {
      const before = putTheirs(version);
      const { status, stdout, stderr } = deploy('laptop');
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
      expect(stderr).toContain('that are not replaced by ours. Nothing was applied:\n');
      expect(stderr).toContain(`  prometheuses.monitoring.coreos.com: ${version}, somebody else's; ours is `);
      expect(theirs()).toEqual(before);
      expect(cluster.try(['get', 'namespace', 'mlops-platform']).status).not.toBe(0);
      report(stderr);
    }
  });

  test('leaves somebody else’s definitions of our version as they are, and applies the rest', () => {
    const { metadata } = objects.find(({ kind }) => kind === 'CustomResourceDefinition')!;
    const before = putTheirs(metadata.annotations!['operator.prometheus.io/version']!);
    const { status, stdout } = deploy('laptop');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^Definitions that stay as they are.*: prometheuses\.monitoring\.coreos\.com$/m);
    expect(stdout).toContain(`\nlaptop: ${objects.length - 1} objects: ${objects.length - 1} created\n`);
    expect(theirs()).toEqual(before);
    expect(there()).toEqual(custom.map(title).sort());
    cluster.kubectl('apply', '--filename', join(LAPTOP, '00-crds.yaml'));
  });

  test('applies again without a change, and without a name what the cluster runs', () => {
    expect(deploy()).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(
        new RegExp(
          `^The cluster runs 'laptop'.\nlaptop: ${objects.length} objects: ${objects.length} unchanged\n`,
        ),
      ),
    });
  });

  test('refuses another environment than the one that runs, unless --switch is given', () => {
    for (const args of [['production'], ['workstation', '--dry-run']]) {
      const { status, stderr } = deploy(...args);
      expect(status).toBe(1);
      expect(stderr).toContain(`the cluster runs 'laptop', not '${args[0]}': nothing was applied.`);
    }
    expect(deploy('workstation', '--switch').stdout).toMatch(/^workstation: \d+ objects: /);
    expect(deploy('laptop').stderr).toContain("the cluster runs 'workstation', not 'laptop'");
  });
});

describe('an upgrade from the release whose custom resources a program applied', () => {
  const stale = 'mlops-platform/prometheus';
  let before: Map<string, Live>;

  beforeAll(() => {
    up();
    const { applied, carried } = theReleaseBefore(objects, stale);
    server(applied.filter(({ kind }) => kind === 'CustomResourceDefinition'));
    cluster.kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s');
    mustApply(['apply'], applied);
    server(carried, '--field-manager=mlops-lifecycle', '--force-conflicts');
    before = live();
    expect([...before.keys()].sort()).toEqual(custom.map(title).sort());
  });

  test('prints that the environment is unknown, and which objects are deleted', () => {
    const { status, stdout } = deploy();
    expect(status).toBe(0);
    expect(stdout).toContain(
      'The cluster does not say which environment it runs.\nThe cluster has no GPU: the laptop.\n',
    );
    expect(stdout).toMatch(
      /^The applier of an earlier release goes, and all that it applied stays: \d+ objects\.$/m,
    );
  });

  test('keeps every custom resource: none is made anew, and only what differs is changed', () => {
    const after = live();
    expect([...after.keys()].sort()).toEqual([...before.keys()].sort());
    for (const [name, { uid, generation }] of before) {
      expect([name, after.get(name)!.uid]).toEqual([name, uid]);
      expect([name, after.get(name)!.generation]).toEqual([
        name,
        name === `Prometheus ${stale}` ? generation + 1 : generation,
      ]);
    }
  });

  test('removes the fields that the manifests no longer have', () => {
    const found = cluster.get<{ items: Manifest[] }>(KINDS, '--all-namespaces').items;
    expect(JSON.stringify(found)).not.toContain('of-the-release-before');
  });

  test('leaves nothing of the program', () => {
    const kinds = 'configmaps,deployments,networkpolicies,rolebindings,roles,serviceaccounts';
    const names = cluster.kubectl('get', kinds, '--all-namespaces', '--output=name').split('\n');
    expect(names.length).toBeGreaterThan(50);
    expect(names.filter((name) => name.includes('custom-resources'))).toEqual([]);
  });

  test('after that, neither another apply nor kubectl diff changes or finds anything', expectSettled);
});

describe.each(ENVIRONMENTS)('a server-side dry run of dist/%s', (environment) => {
  const all = objectsOf(environment);

  beforeAll(() => {
    cluster.up();
    // A dry run stores nothing, so namespaces and definitions must be there before it.
    server(all.filter(({ kind }) => kind === 'Namespace'));
    server(all.filter(({ kind }) => kind === 'CustomResourceDefinition'));
    cluster.kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s');
  });

  test('accepts every object, custom resources too, and no key of them is unknown', () => {
    const { output, lines, status } = cluster.try([
      'apply',
      '--dry-run=server',
      '--validate=strict',
      '--filename',
      join(DIST, environment),
    ]);
    expect(output).not.toMatch(/error/i);
    expect(status).toBe(0);
    expect(lines).toHaveLength(all.length);
    report(`dist/${environment}: ${lines.length} objects accepted, ${customResources(all).length} custom`);
  });
});

test.each<[string, string, object]>([
  ['Deployment', 'spec.replica', { replica: 1 }],
  ['ServiceMonitor', 'spec.endpoint', { endpoint: [] }],
])(
  'kubectl refuses a misspelt key of a %s, so that what it accepted was read strictly',
  (kind, key, more) => {
    const whole = objects.find((object) => object.kind === kind)!;
    const misspelt = { ...whole, spec: { ...whole.spec, ...more } };
    const { status, output } = cluster.try(
      ['apply', '--dry-run=server', '--filename', '-'],
      yaml([misspelt]),
    );
    expect(status).not.toBe(0);
    expect(output).toContain(`unknown field "${key}"`);
  },
);

interface Live {
  readonly uid: string;
  /** A number that grows with each change of the spec. */
  readonly generation: number;
}

function up(): void {
  report(`up in ${timed(() => cluster.up()).seconds} s`);
}

function apply() {
  return cluster.try(['apply', '--filename', LAPTOP]);
}

/** Checks that another apply changes no object, and that kubectl diff finds no difference. */
function expectSettled(): void {
  const { lines, status } = apply();
  expect(lines.filter((line) => !line.endsWith(' unchanged'))).toEqual([]);
  expect(lines).toHaveLength(objects.length);
  expect(status).toBe(0);
  expect(cluster.try(['diff', '--filename', LAPTOP])).toEqual({ status: 0, output: '', lines: [] });
}

/** Runs `npm run deploy -- ARGS`. It waits for no workload, because no pod runs here. */
function deploy(...args: string[]) {
  const except = args.includes('production')
    ? []
    : wantedWorkloads(args.includes('workstation') ? objectsOf('.') : objects);
  return spawnSync(
    'npm',
    ['run', '--silent', 'deploy', '--', ...args, ...except.flatMap((workload) => ['--except', workload])],
    { encoding: 'utf8', env: { ...process.env, CDK8S_OUTDIR: DIST, ...cluster.kubectlEnvironment() } },
  );
}

/** Runs the function of bootstrap.sh that brings the definitions, with our kubectl in the place of k3s's. */
function bringDefinitions() {
  writeFileSync(join(scratch, 'k3s'), '#!/bin/bash\nshift 3\nexec $KUBECTL "$@"\n', { mode: 0o755 });
  const program = `set -Eeuo pipefail
say() { printf '%s\\n' "$*"; }
die() { printf '%s\\n' "$*" >&2; exit "$1"; }
brings_definitions() { true; }
E_NOT_READY=5 BIN_DIR=$1 K3S_KUBECONFIG=k3s.yaml DEFINITIONS=$2
eval "$(sed -n '/^bring_definitions() {$/,/^}$/p' "$3")"
bring_definitions`;
  return spawnSync('bash', ['-c', program, '_', scratch, join(DIST, '00-crds.yaml'), BOOTSTRAP], {
    encoding: 'utf8',
    env: { ...process.env, ...cluster.kubectlEnvironment() },
  });
}

/** Puts one definition there as another operator does: with descriptions, and under another field manager. */
function putTheirs(version: string): unknown {
  const ours = objects.find(({ metadata }) => metadata.name === 'prometheuses.monitoring.coreos.com')!;
  const [served] = ours.spec.versions as [{ schema: { openAPIV3Schema: object } }];
  const described = { ...served.schema.openAPIV3Schema, description: 'The Prometheus definition.' };
  server(
    [
      {
        ...ours,
        metadata: { name: ours.metadata.name, annotations: { 'operator.prometheus.io/version': version } },
        spec: { ...ours.spec, versions: [{ ...served, schema: { openAPIV3Schema: described } }] },
      } as Manifest,
    ],
    '--field-manager=helm',
  );
  return theirs();
}

/** The definition of Prometheus that is in the cluster, without the fields that every write changes. */
function theirs(): unknown {
  const { metadata, spec } = cluster.get<Manifest>('crd', 'prometheuses.monitoring.coreos.com');
  const { resourceVersion: _, managedFields: __, ...rest } = metadata as unknown as Record<string, unknown>;
  return { metadata: rest, spec };
}

/** Titles of all custom resources that the cluster has. */
function there(): string[] {
  return [...live().keys()].sort();
}

function live(): Map<string, Live> {
  const { items } = cluster.get<{ items: Manifest[] }>(KINDS, '--all-namespaces');
  return new Map(items.map((manifest) => [title(manifest), manifest.metadata as unknown as Live]));
}

function server(manifests: readonly Manifest[], ...args: string[]): void {
  mustApply(['apply', '--server-side', ...args], manifests);
}

function mustApply(command: readonly string[], manifests: readonly Manifest[]): void {
  const { status, output } = cluster.try([...command, '--filename', '-'], yaml(manifests));
  if (status !== 0) throw new Error(output);
}

function yaml(manifests: readonly unknown[]): string {
  return manifests.map((manifest) => `---\n${dump(manifest)}`).join('');
}
