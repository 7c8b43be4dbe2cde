import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { laptop } from '../../../environments/laptop';
import { synthesize } from '../../../lib';
import { images } from '../../../lib/kubernetes/images';
import { customResources } from '../../../scripts/cli/platform/manifests';
import { wantedWorkloads } from '../../../scripts/cli/platform/workloads';
import { objectsOf } from '../../support/dist';
import { report, timed } from '../support/cluster';
import { taxi } from '../support/pipelines';
import { cluster, psql, WITHOUT_IMAGE } from '../support/platform';
import { prometheus, until } from '../support/prometheus';

// The images of a next release: each has a tag that it never had, so that everything that a synth derives from an
// image, such as the name of a Job, differs too.
jest.mock('../../../lib/kubernetes/images', () => {
  const { images: released } = jest.requireActual<{ images: Record<string, string> }>(
    '../../../lib/kubernetes/images',
  );
  return {
    images: Object.fromEntries(Object.entries(released).map(([key, image]) => [key, `${image}-next`])),
  };
});

let folder: string;
let sampledAt: number;

beforeAll(() => {
  sampledAt = Date.now() / 1000;
  folder = mkdtempSync(join(tmpdir(), 'upgrade-'));
  synthesize({ environments: { laptop }, pipelines: [taxi()], outdir: join(folder, 'dist') });
  const there = cluster.enter('ctr', '--namespace=k8s.io', 'images', 'list', '--quiet').split('\n');
  for (const next of Object.values(images)) {
    const released = next.replace(/-next$/, '');
    if (there.includes(released))
      cluster.enter('ctr', '--namespace=k8s.io', 'images', 'tag', '--force', released, next);
  }
});

afterAll(() => rmSync(folder, { recursive: true }));

test('an apply with every tag bumped meets no immutable field', () => {
  const { status, output, lines } = cluster.try(['apply', '--filename', join(folder, 'dist/laptop')]);
  expect(output).not.toMatch(/immutable|error/i);
  expect(status).toBe(0);
  report(
    `${lines.filter((line) => line.endsWith(' configured')).length} objects configured, ${lines.filter((line) => line.endsWith(' created')).length} created`,
  );
});

test('every workload rolls out to the next image and is Ready', () => {
  const { seconds } = timed(() => {
    for (const title of wantedWorkloads(objectsOf('laptop'))) {
      if (title.startsWith('job/') || WITHOUT_IMAGE.includes(title)) continue;
      const namespace = title === 'daemonset/node-exporter' ? 'mlops-nodes' : 'mlops-platform';
      cluster.kubectl('rollout', 'status', title, `--namespace=${namespace}`, '--timeout=10m');
    }
  });
  report(`rolled out in ${seconds} s`);
});

test('nothing was lost', () => {
  expect(psql('mlflow', "SELECT count(*) FROM runs WHERE status = 'FINISHED'").trim()).not.toBe('0');
  expect(psql('airflow', "SELECT count(*) FROM ab_user WHERE username = 'admin'").trim()).toBe('1');
});

test('every rule is loaded, and the samples from before are there', () => {
  const wanted = customResources(objectsOf('laptop'))
    .filter(({ kind }) => kind === 'PrometheusRule')
    .flatMap(({ spec }) => spec.groups as { rules: { alert?: string; record?: string }[] }[])
    .flatMap(({ rules }) => rules.map(({ alert, record }) => alert ?? record));
  expect(wanted.length).toBeGreaterThan(40);
  const missing = () => {
    const { groups } = prometheus<{ groups: { rules: { name: string }[] }[] }>('rules');
    const loaded = groups.flatMap(({ rules }) => rules.map(({ name }) => name));
    return wanted.filter((name) => !loaded.includes(name!));
  };
  expect(until(missing, (names) => names.length === 0, 300)).toEqual([]);
  const { result } = prometheus<{ result: unknown[] }>(
    `query?query=${encodeURIComponent('up{job="postgres"}')}&time=${sampledAt}`,
  );
  expect(result.length).toBeGreaterThan(0);
});
