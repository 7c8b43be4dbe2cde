import { customResources } from '../../../scripts/cli/platform/manifests';
import { objectsOf } from '../../support/dist';
import { OBJECT_STORE } from '../../support/object-store';
import { report } from '../support/cluster';
import { cluster, LAPTOP, npm, PLATFORM, WITHOUT_IMAGE } from '../support/platform';

interface Pod {
  metadata: { name: string; labels: Record<string, string> };
  status: Record<'initContainerStatuses' | 'containerStatuses', { restartCount: number }[] | undefined>;
}

const wanted = customResources(objectsOf('laptop'))
  .map(({ kind, metadata }) => `${kind}/${metadata.name}`)
  .sort();

test('no container restarted, because each waits for the servers that it needs', () => {
  const pods = cluster.get<{ items: Pod[] }>('pods', '--all-namespaces').items;
  const restarted = pods
    .map(({ metadata, status }) => ({
      name: metadata.name,
      restarts: [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])].reduce(
        (sum, { restartCount }) => sum + restartCount,
        0,
      ),
    }))
    .filter(({ restarts }) => restarts > 0);
  report(`${pods.length} pods: ${pods.map(({ metadata }) => metadata.name).join(', ')}`);
  expect(restarted).toEqual([]);
});

test('a second apply while everything runs prints unchanged for every object', () => {
  const { lines, status } = cluster.try(['apply', '--filename', LAPTOP]);
  expect(status).toBe(0);
  expect(lines.filter((line) => !line.endsWith(' unchanged'))).toEqual([]);
});

test('the cluster has every custom resource', () => {
  expect(there()).toEqual(wanted);
  report(`${wanted.length} custom resources`);
});

test.each(['mlops-platform', 'mlops-steps'])('%s refuses a pod that is not restricted', (namespace) => {
  const image = '--image=docker.io/library/busybox:1.36.1';
  const { status, output } = cluster.try([
    'run',
    'plain',
    `--namespace=${namespace}`,
    image,
    '--restart=Never',
  ]);
  expect(status).not.toBe(0);
  expect(output).toMatch(/violates PodSecurity "restricted/);
});

test('npm run status says what runs, where to open it, and where the password is, but no password', () => {
  const { stdout, status } = npm('status');
  expect(status).toBe(0);
  expect(stdout).toMatch(/^The cluster runs 'laptop'\.\n\d+ of \d+ workloads are ready\.$/m);
  for (const page of ['airflow', 'mlflow', 'grafana', OBJECT_STORE.name]) {
    expect(stdout).toContain(`  http://${page}.mlops.localhost  `);
  }
  for (const workload of WITHOUT_IMAGE) expect(stdout).toContain(workload);
  const passwords = cluster
    .get<{ items: { data?: Record<string, string> }[] }>('secrets', PLATFORM)
    .items.flatMap(({ data }) =>
      Object.values(data ?? {}).map((value) => Buffer.from(value, 'base64').toString()),
    )
    .filter((value) => value.length >= 20);
  expect(passwords.filter((password) => stdout.includes(password))).toEqual([]);
});

test('npm run deploy names what does not become ready, why, and the events of its pod', () => {
  const { stderr, status } = npm('deploy', '--', 'laptop', '--timeout', '0.1');
  expect(status).toBe(1);
  expect(stderr).toMatch(/^not ready after 0:06:$/m);
  for (const workload of WITHOUT_IMAGE)
    expect(stderr).toMatch(new RegExp(`^  ${workload}: server: (ErrImagePull|ImagePullBackOff)`, 'm'));
  expect(stderr).toMatch(/^--- pod mlops-platform\/grafana-/m);
  expect(stderr).toContain('Failed to pull image');
});

/** Every custom resource in the cluster. */
function there(): string[] {
  const kinds = 'alertmanagers,podmonitors,prometheuses,prometheusrules,servicemonitors';
  return cluster
    .get<{ items: { kind: string; metadata: { name: string } }[] }>(kinds, '--all-namespaces')
    .items.map(({ kind, metadata }) => `${kind}/${metadata.name}`)
    .sort();
}
