import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { environments } from '../environments';
import { defineEnvironment, loadPipelines, Monitoring, NodeExporter, synthesize } from '../lib';
import { render } from '../lib/synth/render';
import { type Manifest, podsOf, strings, title } from '../lib/validation/manifests';
import { STEPS } from '../lib/definitions/names';
import { images } from '../lib/kubernetes/images';
import { ENVIRONMENT_LABEL, OWNERSHIP_LABELS } from '../lib/kubernetes/labels';
import { customResources, DIST } from '../scripts/cli/platform/manifests';
import { omittedListDefaults } from './support/crd-schemas';
import { ENVIRONMENTS, filesOf, objectsOf } from './support/dist';
import { randomTokens } from './support/secret-scan';
import { validate } from './support/schema-validator';
import { OBJECT_STORE } from './support/object-store';

const objects = new Map(ENVIRONMENTS.map((environment) => [environment, objectsOf(environment)]));

test('dist is what a fresh synth writes', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dist-'));
  try {
    synthesize({
      environments,
      pipelines: loadPipelines(join(__dirname, '../pipelines')),
      outdir: join(folder, 'dist'),
    });
    const [fresh, committed] = [filesOf(join(folder, 'dist')), filesOf(DIST)];
    expect(Object.keys(fresh)).toEqual(Object.keys(committed));
    // File by file, so that jest shows the lines that differ. `npm run synth` writes the new text into dist/.
    for (const [path, text] of Object.entries(fresh))
      expect(`${path}\n${committed[path]}`).toBe(`${path}\n${text}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the ConfigMap of the steps has every step, and no ConfigMap of code lacks a module that its code imports', () => {
  const steps = [...Object.values(STEPS.run), ...Object.values(STEPS.alone)].map(
    (step) => `steps.${step}.py`,
  );
  const codes = objects
    .get('laptop')!
    .filter(({ kind, metadata }) => kind === 'ConfigMap' && /^lifecycle-.*-code$/.test(metadata.name))
    .map(({ data }) => data as Record<string, string>);
  expect(codes).toHaveLength(2);
  expect(Object.keys(codes.find((files) => '__main__.py' in files)!)).toEqual(expect.arrayContaining(steps));
  for (const files of codes) {
    const imported = Object.values(files).flatMap((text) =>
      [...text.matchAll(/\b(?:from|import) lifecycle\.([\w.]+)(?: import (.*))?/g)].flatMap(
        ([, module, names]) =>
          `${module}.__init__.py` in files
            ? [...names!.matchAll(/\w+/g)].map(([name]) => `${module}.${name}.py`)
            : `${module}.py`,
      ),
    );
    const packages = Object.keys(files).map((file) => file.replace(/[^.]+\.py$/, '__init__.py'));
    expect(Object.keys(files)).toEqual(expect.arrayContaining([...new Set([...imported, ...packages])]));
  }
});

describe.each(ENVIRONMENTS)('dist/%s', (environment) => {
  const applied = objects.get(environment)!;
  const custom = customResources(applied);
  const pods = podsOf(applied);
  const containers = pods.flatMap((pod) =>
    [...pod.initContainers, ...pod.containers].map((container) => ({ pod, container })),
  );

  test('every object fits the schema of its kind, and no key is unknown', () => {
    expect(applied.flatMap((object) => validate(object))).toEqual([]);
  });

  test('custom resources are objects like all others, in the file of their module', () => {
    expect(custom.length).toBeGreaterThan(10);
    expect(JSON.stringify(applied.filter(({ kind }) => kind === 'ConfigMap'))).not.toContain(
      'kind: ServiceMonitor',
    );
    const pipeline = custom.filter(({ metadata }) => metadata.name === 'model-trip-duration');
    const files = filesOf(join(DIST, environment));
    expect(pipeline.map(({ kind }) => kind)).toEqual(['PrometheusRule']);
    expect(files['60-pipeline-trip-duration.yaml']).toContain('\nkind: PrometheusRule\n');
    expect(files['30-training.yaml']).toContain('\nkind: ServiceMonitor\n');
  });

  test('custom resources set every field of a list that has a default, so that a second apply changes nothing', () => {
    expect(custom.flatMap(omittedListDefaults)).toEqual([]);
  });

  test('every CustomResourceDefinition has the labels that say that it is ours', () => {
    const definitions = applied.filter(({ kind }) => kind === 'CustomResourceDefinition');
    expect(definitions.length).toBeGreaterThan(5);
    for (const { metadata } of definitions) expect(metadata.labels).toEqual(OWNERSHIP_LABELS);
  });

  test('the namespace has the environment’s name in a label', () => {
    const namespace = applied.find(
      ({ kind, metadata }) => kind === 'Namespace' && metadata.name === 'mlops-platform',
    );
    expect(namespace?.metadata.labels?.[ENVIRONMENT_LABEL]).toBe(
      environment === '.' ? 'workstation' : environment,
    );
  });

  test('no object is a Secret, and nothing in it looks like secret material', () => {
    expect(applied.filter(({ kind }) => kind === 'Secret')).toEqual([]);
    const suspicious = applied
      .filter(({ kind }) => kind !== 'CustomResourceDefinition')
      .flatMap((object) =>
        [...strings(object)].flatMap(({ path, text }) =>
          randomTokens(text).map((token) => `${title(object)}: ${path}: ${token}`),
        ),
      );
    expect(suspicious).toEqual([]);
  });

  test('every image is one of lib/kubernetes/images.ts', () => {
    const known: readonly string[] = Object.values(images);
    expect(
      containers.map(({ container }) => container.image).filter((image) => !known.includes(image)),
    ).toEqual([]);
  });

  test('every container has requests for CPU and memory, and a limit of memory', () => {
    const without = containers.filter(({ container }) => {
      const { requests, limits } =
        (container as { resources?: { requests?: object; limits?: object } }).resources ?? {};
      return !requests || !('cpu' in requests) || !('memory' in requests) || !limits || !('memory' in limits);
    });
    expect(without.map(({ pod, container }) => `${pod.owner}: ${container.name}`)).toEqual([]);
  });

  test('every pod outside mlops-nodes is restricted and writes to no root file system', () => {
    for (const { pod, container } of containers.filter(
      ({ pod: { namespace } }) => namespace !== 'mlops-nodes',
    )) {
      expect({ owner: pod.owner, ...pod.spec.securityContext }).toMatchObject({
        owner: pod.owner,
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
      });
      expect({ owner: pod.owner, ...container }).toMatchObject({
        owner: pod.owner,
        name: container.name,
        securityContext: {
          allowPrivilegeEscalation: false,
          capabilities: { drop: ['ALL'] },
          readOnlyRootFilesystem: true,
        },
      });
    }
  });

  test('every namespace denies by default, and all but mlops-nodes enforce restricted pods', () => {
    const namespaces = applied.filter(({ kind }) => kind === 'Namespace');
    for (const { metadata } of namespaces) {
      expect([metadata.name, metadata.labels?.['pod-security.kubernetes.io/enforce']]).toEqual([
        metadata.name,
        metadata.name === 'mlops-nodes' ? 'privileged' : 'restricted',
      ]);
      const deny = applied.find(({ kind, metadata: { name, namespace } }) => {
        return kind === 'NetworkPolicy' && name === 'default-deny' && namespace === metadata.name;
      });
      expect(deny?.spec).toEqual({ podSelector: {}, policyTypes: ['Egress', 'Ingress'] });
    }
    expect(namespaces).toHaveLength(3);
  });

  test('a pod gets a token only where its account has rights in the Kubernetes API', () => {
    const bound = new Set(
      applied
        .filter(({ kind }) => kind.endsWith('RoleBinding'))
        .flatMap(({ subjects }) =>
          (subjects as { namespace: string; name: string }[]).map((s) => `${s.namespace}/${s.name}`),
        ),
    );
    const withToken = podsOf(applied).filter(({ spec }) => spec.automountServiceAccountToken);
    for (const pod of withToken) expect(bound).toContain(`${pod.namespace}/${pod.spec.serviceAccountName}`);
  });
});

test('production, whose Postgres and S3 are external, has no image of Postgres or of the object store', () => {
  const theirs: string[] = [images.postgres, images.postgresExporter, ...OBJECT_STORE.images];
  const ofTheirs = (environment: string) =>
    podsOf(objects.get(environment)!)
      .flatMap((pod) => [...pod.initContainers, ...pod.containers])
      .map(({ image }) => String(image))
      .filter((image) => theirs.includes(image));
  expect(ofTheirs('production')).toEqual([]);
  expect(new Set(ofTheirs('laptop'))).toEqual(new Set(theirs));
});

test.each([
  'q8Zt3fKx0LmW9bVn2RcY7dHs5JpG1aEu',
  'da39a3ee5e6b4b0d3255bfef95601890afd80709',
  'Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ubw==',
  'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
])('the scan for secret material finds %s', (secret) => {
  expect(randomTokens(`password: ${secret}`)).toEqual([secret]);
});

test('node-exporter alone takes a port of the node, and nothing where it is left out', () => {
  const takers = (applied: readonly Manifest[]) => [
    ...podsOf(applied)
      .filter(({ spec }) => spec.hostNetwork || JSON.stringify(spec).includes('"hostPort"'))
      .map(({ owner }) => owner),
    ...applied
      .filter(({ kind, spec }) => kind === 'Service' && /NodePort|LoadBalancer/.test(JSON.stringify(spec)))
      .map(title),
  ];
  for (const applied of objects.values())
    expect(takers(applied)).toEqual(['DaemonSet mlops-nodes/node-exporter']);
  const monitoring = Monitoring.own({ nodeExporter: NodeExporter.none() });
  const pipelines = loadPipelines(join(__dirname, '../pipelines'));
  const without = render('laptop', defineEnvironment({ monitoring }), pipelines);
  expect(takers([...without.values()].flat())).toEqual([]);
});

test('GPUs are asked for on the workstation and in production, and nowhere on the laptop', () => {
  const asking = (environment: string) =>
    podsOf(objects.get(environment)!)
      .filter(({ containers }) => JSON.stringify(containers).includes('nvidia.com/gpu'))
      .map(({ owner, spec }) => [
        owner,
        spec.runtimeClassName,
        spec.containers[0].resources.limits['nvidia.com/gpu'],
      ]);
  expect(asking('.')).toEqual([['Deployment mlops-platform/triton', 'nvidia', 1]]);
  expect(asking('production')).toEqual([['Deployment mlops-platform/triton', 'nvidia', 1]]);
  expect(asking('laptop')).toEqual([]);
});
