import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { images } from '../../../lib/core/images';
import { wantedWorkloads } from '../../../scripts/platform/workloads';
import { objectsOf } from '../../support/dist';
import { report, timed } from '../support/cluster';
import { cluster, LAPTOP, psql, WITHOUT_IMAGE } from '../support/platform';

/** A tag that no image has had: every workload gets another image of the same content. */
const BUMPED = '-bumped';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'bumped-'));
  for (const name of readdirSync(LAPTOP)) {
    let text = readFileSync(join(LAPTOP, name), 'utf8');
    for (const image of Object.values(images)) text = text.replaceAll(image, `${image}${BUMPED}`);
    writeFileSync(join(folder, name), text);
  }
  const there = cluster.enter('ctr', '--namespace=k8s.io', 'images', 'list', '--quiet').split('\n');
  for (const image of there.filter((name) => (Object.values(images) as string[]).includes(name))) {
    cluster.enter('ctr', '--namespace=k8s.io', 'images', 'tag', '--force', image, `${image}${BUMPED}`);
  }
});

afterAll(() => rmSync(folder, { recursive: true }));

test('an apply with every tag bumped meets no immutable field', () => {
  const { status, output, lines } = cluster.try(['apply', '--filename', folder]);
  expect(output).not.toMatch(/immutable|error/i);
  expect(status).toBe(0);
  report(
    `${lines.filter((line) => line.endsWith(' configured')).length} objects configured, ${lines.filter((line) => line.endsWith(' created')).length} created`,
  );
});

test('every workload rolls out to the bumped image and is Ready', () => {
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
