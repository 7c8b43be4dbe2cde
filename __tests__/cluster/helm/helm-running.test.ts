import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineEnvironment, definePipeline, type Environment } from '../../../lib';
import type { Manifest } from '../../../lib/validation/manifests';
import { NAMESPACES, PLATFORM_NAMESPACE } from '../../../lib/kubernetes/namespaces';
import { writeChart } from '../../../lib/synth/chart';
import { TRIP } from '../../support/trip';
import { OBJECT_STORE } from '../../support/object-store';
import { Cluster, report, timed } from '../support/cluster';
import { helmOf, NAMESPACE } from '../support/helm';
import { until } from '../support/prometheus';

const RELEASE = 'mlops-platform';
/** The workload without an image here: no package registry offers Grafana's server. */
const WITHOUT_IMAGE = 'Deployment/grafana';

/** A cluster with a node: helm.test.ts checks the chart's objects, and here their pods run. */
const cluster = new Cluster('helm-running', false);
const base = mkdtempSync(join(tmpdir(), 'helm-running-'));
const helm = helmOf(cluster, base);
const first = chart('first', defineEnvironment({}));
const second = chart('second', defineEnvironment({ parallelism: 4 }));

let passwords: Record<string, string>;

beforeAll(() => report(`a node is up in ${timed(() => cluster.up()).seconds} s`));
afterAll(() => {
  cluster.down();
  rmSync(base, { recursive: true });
});

test('helm install makes a platform that runs', () => {
  const { seconds } = timed(() => {
    helm('install', RELEASE, first, ...NAMESPACE, '--create-namespace');
    expectRunning();
  });
  report(`installed and running in ${seconds} s: ${pods().length} pods`);
  expect(enforced()).toBe('restricted');
  passwords = secrets();
  psql('create table marker as select 1 as one');
});

test('helm upgrade replaces the pods that differ, and keeps data and passwords', () => {
  const before = pods();
  helm('upgrade', RELEASE, second, ...NAMESPACE);
  expectRunning();
  const kept = before.filter((pod) => pods().includes(pod)).map((pod) => pod.split('-')[0]);
  expect(kept).toEqual(
    expect.arrayContaining(['postgres', OBJECT_STORE.name, 'mlflow', 'triton', 'prometheus']),
  );
  expect(cluster.kubectl('exec', ...NAMESPACE, 'deployment/airflow-scheduler', '--', 'env')).toContain(
    'AIRFLOW__CORE__PARALLELISM=4',
  );
  expect(secrets()).toEqual(passwords);
  expect(psql('select one from marker')).toBe('1');
});

test('helm uninstall ends all that runs, what the operator started too, and keeps metrics and passwords', () => {
  helm('uninstall', RELEASE, ...NAMESPACE, '--wait');
  expect(until(pods, (left) => left.length === 0, 120)).toEqual([]);
  expect(secrets()).toEqual(passwords);
  const claims = cluster.get<{ items: Manifest[] }>('persistentvolumeclaims', ...NAMESPACE).items;
  expect(claims.map(({ metadata }) => metadata.name)).toContain(
    'prometheus-prometheus-db-prometheus-prometheus-0',
  );
});

test('the next helm install goes on with the data and the passwords of before', () => {
  helm('install', RELEASE, second, ...NAMESPACE, '--create-namespace');
  expectRunning();
  expect(secrets()).toEqual(passwords);
  expect(psql('select one from marker')).toBe('1');
});

test('helm uninstall and kubectl delete namespace leave no pod, no volume and no password', () => {
  helm('uninstall', RELEASE, ...NAMESPACE, '--wait');
  cluster.kubectl('delete', 'namespace', PLATFORM_NAMESPACE, '--timeout=180s');
  const namespaces = cluster
    .get<{ items: Manifest[] }>('namespaces')
    .items.map(({ metadata }) => metadata.name);
  expect(namespaces.filter((name) => NAMESPACES.includes(name as never))).toEqual([]);
  const volumes = () => cluster.get<{ items: Manifest[] }>('persistentvolumes').items;
  expect(until(volumes, (left) => left.length === 0, 120)).toEqual([]);
});

function chart(name: string, environment: Environment): string {
  const outdir = join(base, name);
  const pipelines = [{ model: '', definition: definePipeline({ ...TRIP, name: 'trip' }) }];
  writeChart({ name, environment, pipelines, version: '1.2.3', outdir });
  return outdir;
}

/** Waits, for at most 400 seconds, until everything is ready except what has no image here. */
function expectRunning(): void {
  expect(until(notReady, (names) => names.every((name) => name === WITHOUT_IMAGE), 400)).toEqual([
    WITHOUT_IMAGE,
  ]);
}

/** Workloads with fewer ready pods of their newest template than they want, and Jobs that have not succeeded. */
function notReady(): string[] {
  const kinds = 'deployments,statefulsets,daemonsets,jobs';
  const { items } = cluster.get<{ items: Manifest[] }>(kinds, '--all-namespaces');
  const found = new Set(items.map(({ metadata }) => metadata.name));
  // The Prometheus operator makes these two StatefulSets, which may not be there yet.
  const missing = ['prometheus-prometheus', 'alertmanager-alertmanager'].filter((name) => !found.has(name));
  return [...missing, ...items.filter((item) => !ready(item)).map(titleOf)];
}

function titleOf({ kind, metadata }: Manifest): string {
  return `${kind}/${metadata.name}`;
}

function ready({ kind, metadata, spec, status = {} }: Manifest): boolean {
  switch (kind) {
    case 'Job':
      return status.succeeded === 1;
    case 'DaemonSet':
      return status.numberReady === status.desiredNumberScheduled;
    default:
      return (
        status.observedGeneration === (metadata as { generation?: number }).generation &&
        status.readyReplicas === spec.replicas &&
        status.updatedReplicas === spec.replicas &&
        status.replicas === spec.replicas
      );
  }
}

/** Names of the platform's pods, without pods of Jobs that have ended and without Grafana, which has no image. */
function pods(): string[] {
  const { items } = cluster.get<{ items: Manifest[] }>('pods', ...NAMESPACE);
  return items
    .filter(({ status, metadata }) => status.phase !== 'Succeeded' && !metadata.name.startsWith('grafana-'))
    .map(({ metadata }) => metadata.name)
    .sort();
}

/** The Pod Security standard that the namespace enforces. */
function enforced(): string | undefined {
  const { metadata } = cluster.get<Manifest>('namespace', PLATFORM_NAMESPACE);
  return metadata.labels?.['pod-security.kubernetes.io/enforce'];
}

/** The data of the generated Secrets, by their names. */
function secrets(): Record<string, string> {
  const { items } = cluster.get<{ items: Manifest[] }>(
    'secrets',
    ...NAMESPACE,
    '--field-selector=type=Opaque',
  );
  const generated = items.filter(({ metadata }) => !('ownerReferences' in metadata));
  return Object.fromEntries(generated.map(({ metadata, data }) => [metadata.name, JSON.stringify(data)]));
}

function psql(query: string): string {
  const command = ['psql', '--username=postgres', '--dbname=mlflow', '-Atc', query];
  return cluster.kubectl('exec', ...NAMESPACE, 'statefulset/postgres', '--', ...command).trim();
}
