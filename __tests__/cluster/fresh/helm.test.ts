import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadAll } from 'js-yaml';
import { production } from '../../../environments/production';
import { defineEnvironment, definePipeline, type Environment } from '../../../lib';
import { type Manifest, title } from '../../../lib/validation/manifests';
import { PLATFORM_NAMESPACE } from '../../../lib/kubernetes/namespaces';
import { chartObjects, writeChart, type WrittenChart } from '../../../lib/synth/chart';
import { customResources } from '../../../scripts/cli/platform/manifests';
import { TRIP } from '../../support/trip';
import { OBJECT_STORE } from '../../support/object-store';
import { Cluster, report, timed } from '../support/cluster';
import { helmOf, NAMESPACE } from '../support/helm';

const SCRIPTS = join(__dirname, '../../../scripts');
const RELEASE = 'mlops-platform';
const NODE_API = 'https://10.89.0.1:6443';
/** Text that Helm would read as a template, with blank lines at its end, which Helm would cut off. */
const MODEL = 'A = "{{ .Values.a }}{{- x -}} {{{{{ }}}}} {{/* c */}} {{`x`}}"\n---\n\n\n';

/** A cluster without a node. Where a Job's pod would run, the test runs its program with its account's token. */
const cluster = new Cluster('helm', true);
const base = mkdtempSync(join(tmpdir(), 'helm-'));
const helm = helmOf(cluster, base);

const first = chart('first', 'trip', defineEnvironment({}));
const second = chart('second', 'fare', defineEnvironment({ parallelism: 4 }));
/** The chart of an environment whose database and object store are external. */
const external = chart('external', 'trip', production);

let untouched: Set<string>;

beforeAll(() => {
  report(`up in ${timed(() => cluster.up()).seconds} s`);
  untouched = new Set(everything());
});
afterAll(() => {
  cluster.down();
  rmSync(base, { recursive: true });
});

test('this is the helm that bootstrap.sh installs', () => {
  const pinned = /^HELM_VERSION="(.+)"$/m.exec(readFileSync(join(SCRIPTS, 'bootstrap.sh'), 'utf8'))![1]!;
  expect(helm('version', '--short')).toMatch(new RegExp(`^${pinned.replaceAll('.', '\\.')}\\b`));
});

test('lint finds no fault', () => {
  expect(helm('lint', '--strict', first.folder, ...NAMESPACE)).toContain('0 chart(s) failed');
});

test.each([first, second, external])(
  'Helm renders the $name chart to our objects, letter by letter',
  (each) => {
    const documents = loadAll(helm('template', RELEASE, each.folder, ...NAMESPACE)) as (Manifest | null)[];
    // A file of comments alone is a document without an object.
    const rendered = documents.filter((manifest) => manifest !== null);
    const wanted = new Map(each.objects.map((manifest) => [title(manifest), manifest]));
    expect(rendered.map(title).sort()).toEqual([...wanted.keys()].sort());
    for (const manifest of rendered) expect(manifest).toEqual(wanted.get(title(manifest)));
  },
);

describe('helm install', () => {
  test('into another namespace is refused in words, and so is a value', () => {
    expect(refusal('install', RELEASE, first.folder, '--skip-crds')).toContain(
      'add --namespace mlops-platform --create-namespace',
    );
    expect(
      refusal(
        'install',
        RELEASE,
        first.folder,
        '--skip-crds',
        ...NAMESPACE,
        '--create-namespace',
        '--set',
        'a=1',
      ),
    ).toContain('the chart has no values');
    expect(everything().filter((each) => !untouched.has(each))).toEqual([]);
  });

  test('makes every object, and says what to do next', () => {
    const { seconds, result } = timed(() =>
      helm('install', RELEASE, first.folder, ...NAMESPACE, '--create-namespace'),
    );
    expect(result).toContain('STATUS: deployed');
    expect(result).toContain('kubectl --namespace mlops-platform get pods --watch');
    report(`helm install took ${seconds} s for ${first.objects.length} objects`);
    expectObjects(first);
  });

  test('makes a release no larger than writeChart predicted', () => {
    const { data } = cluster.get<Manifest>('secret', `sh.helm.release.v1.${RELEASE}.v1`, ...NAMESPACE);
    const bytes = Buffer.from(data.release, 'base64').length;
    report(`the release takes ${bytes} bytes, ${first.written.releaseBytes} were predicted`);
    expect(bytes / first.written.releaseBytes).toBeGreaterThan(0.97);
    expect(bytes / first.written.releaseBytes).toBeLessThanOrEqual(1);
  });

  test('is refused a second time, under that name and another', () => {
    expect(refusal('install', RELEASE, first.folder, ...NAMESPACE)).toContain('cannot re-use a name');
    expect(refusal('install', 'other', first.folder, ...NAMESPACE)).toContain('invalid ownership metadata');
  });

  test('leads to a namespace with the labels that dist gives it', () => {
    expect(labelsOfNamespace()).not.toHaveProperty('pod-security.kubernetes.io/enforce');
    runJob('label-namespace');
    expect(labelsOfNamespace()).toMatchObject({
      'app.kubernetes.io/part-of': 'mlops-platform',
      'pod-security.kubernetes.io/enforce': 'restricted',
      'pod-security.kubernetes.io/warn': 'restricted',
    });
  });

  test('gives that Job the right to label that namespace, and nothing else', () => {
    const account = `--as=system:serviceaccount:${PLATFORM_NAMESPACE}:label-namespace`;
    const may = (...what: string[]) => cluster.try(['auth', 'can-i', ...what, account]).status === 0;
    expect(may('patch', `namespace/${PLATFORM_NAMESPACE}`, ...NAMESPACE)).toBe(true);
    expect(may('patch', 'namespace/mlops-steps', '--namespace=mlops-steps')).toBe(false);
    expect(may('delete', `namespace/${PLATFORM_NAMESPACE}`, ...NAMESPACE)).toBe(false);
    expect(may('get', 'secrets', ...NAMESPACE)).toBe(false);
  });
});

test('the passwords are made by a Job', () => {
  runJob('generate-secrets');
  expect(secrets().length).toBeGreaterThan(8);
});

describe('helm upgrade', () => {
  test('without a change changes nothing', () => {
    const before = versions();
    helm('upgrade', RELEASE, first.folder, ...NAMESPACE);
    expect(helm('list', ...NAMESPACE)).toMatch(/mlops-platform\s+mlops-platform\s+2\s/);
    expect(versions()).toEqual(before);
  });

  test('to another synth makes, changes and removes what differs, and leaves data and passwords', () => {
    const [data, passwords] = [uids('persistentvolumeclaims'), uids('secrets')];
    helm('upgrade', RELEASE, second.folder, ...NAMESPACE);
    expectObjects(second);
    expect(uids('persistentvolumeclaims')).toEqual(data);
    expect(uids('secrets')).toEqual(passwords);
  });

  test('is taken back by helm rollback', () => {
    helm('rollback', RELEASE, '2', ...NAMESPACE);
    expectObjects(first);
  });

  test('to a database and a store elsewhere replaces Jobs whose content changed, and keeps the data here', () => {
    const [jobs, data] = [Object.keys(uids('jobs')), uids('persistentvolumeclaims')];
    helm('upgrade', RELEASE, external.folder, ...NAMESPACE);
    expectObjects(external, KEPT);
    expect(Object.keys(uids('jobs')).filter((job) => job.includes('/generate-secrets-'))).toHaveLength(1);
    expect(jobs).not.toEqual(expect.arrayContaining(Object.keys(uids('jobs'))));
    expect(uids('persistentvolumeclaims')).toEqual(data);
  });

  test('from there back takes the data up again', () => {
    const data = uids('persistentvolumeclaims');
    helm('upgrade', RELEASE, first.folder, ...NAMESPACE);
    expectObjects(first);
    expect(uids('persistentvolumeclaims')).toEqual(data);
  });
});

describe('helm uninstall', () => {
  let data: Record<string, string>;
  let passwords: Record<string, string>;

  test('leaves what docs/decisions/0004 names, and nothing else', () => {
    data = uids('persistentvolumeclaims');
    passwords = uids('secrets');
    expect(helm('uninstall', RELEASE, ...NAMESPACE, '--wait')).toContain(`release "${RELEASE}" uninstalled`);
    expect(left()).toEqual(
      [
        ...DEFINITIONS,
        `Namespace ${PLATFORM_NAMESPACE}`,
        `PersistentVolumeClaim ${PLATFORM_NAMESPACE}/grafana-data`,
        ...KEPT,
        ...secrets(),
      ].sort(),
    );
    expect(secrets().length).toBeGreaterThan(5);
  });

  test('lets an install go on with the data and the passwords of before', () => {
    helm('install', RELEASE, second.folder, ...NAMESPACE, '--create-namespace');
    expectObjects(second);
    runJob('generate-secrets');
    expect(uids('persistentvolumeclaims')).toMatchObject(ofPlatform(data));
    expect(uids('secrets')).toMatchObject(ofPlatform(passwords));
  });
});

describe('kubectl delete namespace', () => {
  test('without an uninstall leaves what an install takes up again', () => {
    cluster.kubectl('delete', 'namespace', PLATFORM_NAMESPACE, '--timeout=120s');
    helm('install', RELEASE, second.folder, ...NAMESPACE, '--create-namespace');
    expectObjects(second);
  });

  test('after an uninstall leaves the definitions alone', () => {
    helm('uninstall', RELEASE, ...NAMESPACE, '--wait');
    cluster.kubectl('delete', 'namespace', PLATFORM_NAMESPACE, '--timeout=120s');
    expect(left()).toEqual(DEFINITIONS);
  });
});

interface Chart {
  readonly name: string;
  readonly folder: string;
  readonly objects: readonly Manifest[];
  readonly written: WrittenChart;
}

function chart(name: string, pipeline: string, environment: Environment): Chart {
  const pipelines = [{ model: MODEL, definition: definePipeline({ ...TRIP, name: pipeline }) }];
  const folder = join(base, name);
  const written = writeChart({ name, environment, pipelines, version: '1.2.3', outdir: folder });
  return { name, folder, objects: [...chartObjects(name, environment, pipelines).values()].flat(), written };
}

function refusal(...args: string[]): string {
  try {
    helm(...args);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error(`helm ${args.join(' ')} was not refused`);
}

/** The volumes of the servers that the external environment does not run. */
const KEPT = [OBJECT_STORE.claim, 'postgres-data'].map(
  (name) => `PersistentVolumeClaim ${PLATFORM_NAMESPACE}/${name}`,
);

/**
 * Checks that the objects of the release in the cluster are these and `kept`, and that ConfigMaps and custom resources
 * have our content.
 */
function expectObjects({ objects }: Chart, kept: readonly string[] = []): void {
  const live = cluster.get<{ items: Manifest[] }>(
    kinds().join(','),
    '--all-namespaces',
    '--selector=app.kubernetes.io/managed-by=Helm',
  ).items;
  const found = new Map(live.filter(isOurs).map((manifest) => [title(manifest), manifest]));
  expect([...found.keys()].sort()).toEqual([...objects.map(title), ...kept].sort());
  for (const manifest of objects.filter(({ kind }) => kind === 'ConfigMap'))
    expect(found.get(title(manifest))!.data).toEqual(manifest.data);
  const custom = customResources(objects);
  expect(custom.length).toBeGreaterThan(10);
  // Definitions add defaults to what is said.
  for (const manifest of custom) expect(found.get(title(manifest))!.spec).toMatchObject(manifest.spec);
}

/** Whether no controller made an object. Those have an owner, except Endpoints, which get their Service's labels. */
function isOurs({ kind, metadata }: Manifest): boolean {
  return kind !== 'Endpoints' && !('ownerReferences' in metadata);
}

/** All kinds that can be listed, except those whose objects come and go by themselves. */
function kinds(): string[] {
  return cluster
    .kubectl('api-resources', '--verbs=list', '--output=name')
    .split('\n')
    .filter((name) => name !== '' && !/^(events|leases|componentstatuses)(\.|$)/.test(name));
}

/** Titles of all objects in the cluster, without those that have an owner and those that every namespace gets. */
function everything(): string[] {
  return cluster
    .get<{ items: Manifest[] }>(kinds().join(','), '--all-namespaces')
    .items.filter(isOurs)
    .filter(({ kind, metadata: { name } }) => !(kind === 'ConfigMap' && name === 'kube-root-ca.crt'))
    .filter(({ kind, metadata: { name } }) => !(kind === 'ServiceAccount' && name === 'default'))
    .map(title);
}

function left(): string[] {
  return [...new Set(everything())].filter((each) => !untouched.has(each)).sort();
}

/** The definitions, and the APIServices that the API server makes for them. */
const DEFINITIONS = [
  'APIService v1.monitoring.coreos.com',
  'APIService v1alpha1.monitoring.coreos.com',
  ...[
    'alertmanagerconfigs',
    'alertmanagers',
    'podmonitors',
    'probes',
    'prometheuses',
    'prometheusrules',
    'servicemonitors',
  ].map((plural) => `CustomResourceDefinition ${plural}.monitoring.coreos.com`),
];

function labelsOfNamespace(): Record<string, string> {
  return cluster.get<Manifest>('namespace', PLATFORM_NAMESPACE).metadata.labels!;
}

/** Titles of the platform's Secrets, without those in which Helm keeps a release. */
function secrets(): string[] {
  return Object.keys(uids('secrets')).sort();
}

/** The uids of all objects of a kind, by title. An object that is made anew gets another uid. */
function uids(kind: string): Record<string, string> {
  const { items } = cluster.get<{ items: Manifest[] }>(kind, '--all-namespaces');
  return Object.fromEntries(
    items
      .filter(({ type }) => type !== 'helm.sh/release.v1')
      .map((manifest) => [title(manifest), (manifest.metadata as unknown as { uid: string }).uid]),
  );
}

function ofPlatform(uids: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(uids).filter(([name]) => name.includes(` ${PLATFORM_NAMESPACE}/`)),
  );
}

/** A value of each object of the release, by title, that changes with the object but not with its status. */
function versions(): Record<string, string | number> {
  const { items } = cluster.get<{ items: Manifest[] }>(
    kinds().join(','),
    '--all-namespaces',
    '--selector=app.kubernetes.io/managed-by=Helm',
  );
  return Object.fromEntries(
    items.filter(isOurs).map((manifest) => {
      const { generation, resourceVersion } = manifest.metadata as unknown as {
        generation?: number;
        resourceVersion: string;
      };
      return [title(manifest), generation ?? (manifest.status ? manifest.metadata.name : resourceVersion)];
    }),
  );
}

/**
 * Runs the program of a Job's first container as its pod would: the same arguments, the
 * files of its ConfigMap as the cluster has them, and a token of its account.
 * @throws when it ends with anything but 0
 */
function runJob(name: string): void {
  const job = cluster
    .get<{ items: Manifest[] }>('jobs', ...NAMESPACE)
    .items.find(({ metadata }) => metadata.name.startsWith(name))!;
  const pod = job.spec.template.spec as PodSpec;
  const [container] = pod.containers as [PodSpec['containers'][0]];
  const folder = join(base, name);
  const { configMap } = pod.volumes.find((volume) => volume.configMap)!;
  const { data } = cluster.get<Manifest>('configmap', configMap!.name, ...NAMESPACE);
  const ca = cluster.get<Manifest>('configmap', 'kube-root-ca.crt', ...NAMESPACE).data['ca.crt'];
  const token = cluster.kubectl('create', 'token', pod.serviceAccountName, ...NAMESPACE).trim();
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  for (const [file, text] of Object.entries({ ...(data as Record<string, string>), token, 'ca.crt': ca }))
    writeFileSync(join(folder, file), text);
  const [, ...args] = container.command.map((each) => each.replace(/^\/(program|plan|tmp)\//, `${folder}/`));
  cluster.enter('timeout', '60', 'python3', '-c', AS_POD, folder, NODE_API, ...args);
}

interface PodSpec {
  readonly serviceAccountName: string;
  readonly containers: { readonly command: string[] }[];
  readonly volumes: { readonly configMap?: { readonly name: string } }[];
}

/** Runs a program with the API server's address and the folder of the account's files, which differ from a pod's. */
const AS_POD = `
import pathlib, runpy, sys
folder, server, *sys.argv = sys.argv[1:]
sys.path.insert(0, folder)
import kubernetes_api
kubernetes_api.api_server.__defaults__ = (pathlib.Path(folder), server, 30)
runpy.run_path(sys.argv[0], run_name="__main__")
`;
