import { appendFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { environmentFolder } from '../scripts/cli/platform/environments';
import { planDefinitions, type Present, refuseUndefined } from '../scripts/cli/platform/definitions';
import { inWords as alertInWords } from '../scripts/cli/platform/alerts';
import { inWords } from '../scripts/cli/platform/models';
import { stale } from '../scripts/cli/platform/stale';

const root = join(__dirname, '..');
const dist = mkdtempSync(join(tmpdir(), 'dist-'));
/** A stand-in that prints what the real kubectl prints where no API server listens. */
const KUBECTL = `#!/bin/sh
for _ in 1 2 3 4 5; do echo 'E1125 17:35:45.1 memcache.go:265] couldn'"'"'t get current server API group list' >&2; done
echo 'The connection to the server localhost:8080 was refused - did you specify the right host or port?' >&2
exit 1
`;
writeFileSync(join(dist, 'kubectl'), KUBECTL, { mode: 0o755 });
afterAll(() => rmSync(dist, { recursive: true }));

test.each([
  ['workstation', '.'],
  ['laptop', 'laptop'],
])('the environment %s is in the folder %s', (name, folder) => {
  expect(environmentFolder(name, ['.', 'laptop'])).toBe(folder);
});

test.each(['desktop', '.', '..', ''])('%j is refused as the name of an environment', (name) => {
  expect(() => environmentFolder(name, ['.', 'laptop'])).toThrow(
    `there is no environment '${name}'; there are workstation, laptop`,
  );
});

test('npm run deploy takes each folder of dist/ for an environment, a new one too', () => {
  mkdirSync(join(dist, 'basement'));
  expect(deploy('desktop')).toBe("there is no environment 'desktop'; there are workstation, basement");
  expect(deploy('basement')).toBe(`${join(dist, 'basement')} holds no YAML; 'npm run synth' writes it`);
});

test.each([
  [['laptop', '--dry-run'], "got 'laptop --dry-run'; options stand behind ' -- '"],
  [['laptop', '--except', 'deployment/grafana'], "got 'laptop deployment/grafana --except'; options"],
  [['laptop', 'production'], "got 'laptop production'; options"],
])(
  'npm run deploy %j applies nothing, because npm kept an option or there is one name too many',
  (args, said) => {
    const { status, stderr } = spawnSync('npm', ['run', '--silent', 'deploy', ...args], {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, KUBECTL: join(dist, 'kubectl') },
    });
    expect(stderr).toContain(said);
    expect(stderr).not.toContain('kubectl');
    expect(status).toBe(1);
  },
);

test('npm run deploy names the files of dist/ that a synth would change', async () => {
  const copy = join(dist, 'copy');
  cpSync(join(root, 'dist'), copy, { recursive: true });
  expect(await stale(copy)).toBeUndefined();
  appendFileSync(join(copy, 'laptop/40-serving.yaml'), '# mine\n');
  rmSync(join(copy, '20-workflow.yaml'));
  writeFileSync(join(copy, '60-pipeline-gone.yaml'), '');
  expect(await stale(copy)).toBe(
    "'npm run synth' would change 20-workflow.yaml, 60-pipeline-gone.yaml, laptop/40-serving.yaml",
  );
  rmSync(copy, { recursive: true });
});

test('npm run deploy without a cluster says so once, and where to get one', () => {
  const { status, stderr } = spawnSync('npm', ['run', '--silent', 'deploy'], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, KUBECTL: join(dist, 'kubectl') },
  });
  expect(stderr).toBe(
    'kubectl reaches no cluster: The connection to the server localhost:8080 was refused - did you specify the right ' +
      "host or port?\nWhere one runs, say where its kubeconfig is, as in 'export KUBECONFIG=~/.kube/config'; where\n" +
      "none does, 'sudo scripts/bootstrap.sh' makes one on this machine (docs/bootstrap.md).\n",
  );
  expect(status).toBe(1);
});

describe('of our CustomResourceDefinitions', () => {
  const NAMES = ['a.example.com', 'b.example.com'];
  const ours = NAMES.map((name) => ({
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name, annotations: { 'operator.prometheus.io/version': '0.85.0' } },
  }));
  const present = (change: Partial<Present>): Present => ({
    name: 'a.example.com',
    version: '0.85.0',
    managedBy: 'mlops-lifecycle',
    prose: false,
    ...change,
  });
  const plan = (...there: Present[]) => {
    const { apply, leave, absent } = planDefinitions(ours, there);
    return { apply: apply.map(({ metadata }) => metadata.name), leave, absent };
  };

  test('all are applied where there are none', () => {
    expect(plan()).toEqual({ apply: NAMES, leave: [], absent: NAMES });
    expect(plan(present({ name: 'c.example.com', version: '9.0.0' })).apply).toEqual(NAMES);
  });

  test.each<[string, Partial<Present>]>([
    ['of our version', {}],
    ['of an older version', { version: '0.84.1' }],
    ['without a version', { version: '' }],
    ['from a release whose definitions had no label', { managedBy: '' }],
  ])('one in the cluster that is ours is applied over: %s', (_, change) => {
    expect(plan(present(change))).toEqual({ apply: NAMES, leave: [], absent: ['b.example.com'] });
  });

  test('one in the cluster that is somebody else’s and has our version is left alone', () => {
    for (const managedBy of ['', 'Helm']) {
      expect(plan(present({ managedBy, prose: true }))).toEqual({
        apply: ['b.example.com'],
        leave: ['a.example.com'],
        absent: ['b.example.com'],
      });
    }
  });

  test.each<[string, Partial<Present>]>([
    ["a.example.com: 0.85.1, somebody else's; ours is 0.85.0", { version: '0.85.1', managedBy: 'Helm' }],
    ["a.example.com: 0.100.0, somebody else's; ours is 0.85.0", { version: '0.100.0', managedBy: '' }],
    ["a.example.com: 0.84.0, somebody else's; ours is 0.85.0", { version: '0.84.0', managedBy: '' }],
    ["a.example.com: of unknown version, somebody else's;", { version: '', managedBy: '', prose: true }],
    ['a.example.com: 1.0.0, from a newer release of this platform; ours is 0.85.0', { version: '1.0.0' }],
  ])('none is applied where the cluster has %s', (said, change) => {
    expect(() => plan(present(change))).toThrow(said);
  });
});

describe('custom resources', () => {
  const object = (kind: string) => ({
    apiVersion: 'monitoring.coreos.com/v1',
    kind,
    metadata: { name: 'a', namespace: 'b' },
  });
  const wanted = ['ServiceMonitor', 'PrometheusRule', 'ServiceMonitor', 'Prometheus'].map(object);
  const defined = ['prometheuses', 'prometheusrules', 'servicemonitors'].map((plural) => ({
    name: `${plural}.monitoring.coreos.com`,
  }));

  test('are applied where something defines them', () => {
    expect(() => refuseUndefined(wanted, defined)).not.toThrow();
    expect(() => refuseUndefined([], [])).not.toThrow();
  });

  test('are refused where nothing does, each kind once, with the way out', () => {
    expect(() => refuseUndefined(wanted, defined.slice(0, 1))).toThrow(
      'Nothing was applied. There is no definition of\n' +
        '  prometheusrules.monitoring.coreos.com\n  servicemonitors.monitoring.coreos.com\n' +
        'Install that Prometheus and its operator first',
    );
  });
});

test('npm run status takes no argument but --help', () => {
  const status = (...args: string[]) =>
    spawnSync('npm', ['run', '--silent', 'status', '--', ...args], { cwd: root, encoding: 'utf8' });
  expect(status('--help').stdout).toMatch(/^usage: npm run status\n/);
  expect(status('now')).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(/^Unexpected argument 'now'[^\n]*\n$/),
  });
});

test.each(['rollback', 'traffic'])('npm run %s asks for one pipeline', (script) => {
  const said = (...args: string[]) =>
    spawnSync('npm', ['run', '--silent', script, ...args], { cwd: root, encoding: 'utf8' }).stderr.split(
      '\n',
    )[0];
  expect(said()).toBe('name one pipeline');
  expect(said('trip-duration', '2024-01')).toBe(
    "name one pipeline, got trip-duration, 2024-01; options stand behind ' -- '",
  );
});

test.each([
  [
    'ModelDrift (warning)  feature=hour  model=trip  docs/runbooks/ModelDrift.md',
    {
      __name__: 'ALERTS',
      alertname: 'ModelDrift',
      alertstate: 'firing',
      severity: 'warning',
      model: 'trip',
      feature: 'hour',
    },
  ],
  [
    'GrafanaDown (warning)  docs/runbooks/GrafanaDown.md',
    { alertname: 'GrafanaDown', severity: 'warning', system: 'grafana' },
  ],
])('npm run status says of an alert: %s', (line, metric) => {
  expect(alertInWords({ metric: { ...metric } })).toBe(line);
});

test.each<[string, Parameters<typeof inWords>[0]]>([
  ['no version yet: its newest run in Airflow says how far it is', undefined],
  [
    'no version yet: its newest run in Airflow says how far it is',
    { wanted: null, serving: null, refused: {} },
  ],
  ['version 2 serves', { wanted: 2, serving: 2, refused: { '1': 'old' } }],
  ['none serves; version 1 is on its way', { wanted: 1, serving: null, refused: {} }],
  [
    'version 2 serves; version 3 is refused: wrong hash',
    { wanted: 3, serving: 2, refused: { '3': 'wrong hash' } },
  ],
])('npm run status says of a model: %s', (line, model) => {
  expect(inWords(model)).toBe(line);
});

/** Runs the command, which must fail, over the test's own dist/. @returns the last line of its error */
function deploy(environment: string): string {
  const { status, stderr } = spawnSync('npm', ['run', '--silent', 'deploy', '--', environment], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, CDK8S_OUTDIR: dist },
  });
  expect(status).toBe(1);
  return stderr.trim().split('\n').at(-1)!;
}
