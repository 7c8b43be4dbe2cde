import { join } from 'node:path';
import { dump } from 'js-yaml';
import type { Manifest } from '../../../lib/validation/manifests';
import { customResources, DIST } from '../../../scripts/platform/manifests';
import { ENVIRONMENTS, objectsOf } from '../../support/dist';
import { Cluster, report, timed } from '../support/cluster';

const LAPTOP = join(DIST, 'laptop');
const CLUSTERS = 10;

/** An API server, its controllers and etcd; no node, so that ten of them are a matter of minutes. */
const cluster = new Cluster('fresh', true);

afterAll(() => cluster.down());

describe.each(Array.from({ length: CLUSTERS }, (_, i) => i + 1))('fresh cluster %i of 10', (i) => {
  const objects = objectsOf('laptop');

  beforeAll(() => report(`up in ${timed(() => cluster.up()).seconds} s`));

  test('one kubectl apply exits 0 and creates every object', () => {
    const { seconds, result } = timed(() => cluster.try(['apply', '--filename', LAPTOP]));
    report(`cluster ${i}: apply exits ${result.status} after ${seconds} s, ${result.lines.length} objects`);
    expect(result.output).not.toMatch(/error/i);
    expect(result.status).toBe(0);
    expect(result.lines.filter((line) => line.endsWith(' created'))).toHaveLength(objects.length);
  });

  test('a second one says unchanged for every object', () => {
    const { lines, status } = cluster.try(['apply', '--filename', LAPTOP]);
    expect(lines.filter((line) => !line.endsWith(' unchanged'))).toEqual([]);
    expect(lines).toHaveLength(objects.length);
    expect(status).toBe(0);
  });
});

describe.each(ENVIRONMENTS)('a server-side dry run of dist/%s', (environment) => {
  const objects = objectsOf(environment);
  const custom = customResources(objects);

  beforeAll(() => {
    cluster.up();
    // A dry run keeps nothing, so what others stand in or are made of must be there before it.
    apply(objects.filter(({ kind }) => kind === 'Namespace'));
    apply(objects.filter(({ kind }) => kind === 'CustomResourceDefinition'));
    cluster.kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s');
  });

  test('accepts every object', () => {
    const { output, lines, status } = cluster.try([
      'apply',
      '--dry-run=server',
      '--filename',
      join(DIST, environment),
    ]);
    expect(output).not.toMatch(/error/i);
    expect(status).toBe(0);
    expect(lines).toHaveLength(objects.length);
    report(`dist/${environment}: ${lines.length} objects accepted`);
  });

  test('accepts every custom resource that travels in a ConfigMap, strictly', () => {
    const { output, lines, status } = cluster.try(
      ['apply', '--server-side', '--dry-run=server', '--validate=strict', '--filename', '-'],
      yaml(custom),
    );
    expect(output).not.toMatch(/error/i);
    expect(status).toBe(0);
    expect(lines).toHaveLength(custom.length);
    report(`dist/${environment}: ${lines.length} custom resources accepted`);
  });
});

test('kubectl refuses a misspelt key, so that what it accepted was read strictly', () => {
  const [deployment] = objectsOf('laptop').filter(({ kind }) => kind === 'Deployment');
  const misspelt = { ...deployment!, spec: { ...deployment!.spec, replica: 1 } };
  const { status, output } = cluster.try(['apply', '--dry-run=server', '--filename', '-'], yaml([misspelt]));
  expect(status).not.toBe(0);
  expect(output).toMatch(/unknown field "spec.replica"/);
});

function apply(objects: readonly Manifest[]): void {
  const { status, output } = cluster.try(['apply', '--server-side', '--filename', '-'], yaml(objects));
  if (status !== 0) throw new Error(output);
}

function yaml(objects: readonly unknown[]): string {
  return objects.map((object) => `---\n${dump(object)}`).join('');
}
