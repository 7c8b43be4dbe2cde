/**
 * What each stage and each module makes of small props, to be read at a glance in a diff.
 * docs/testing-manifests.md says how such a test is written; its own example is one of these.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { transformSync } from '@swc/core';
import { App } from 'cdk8s';
import { dump } from 'js-yaml';
import { Accelerator, Database, definePipeline, ObjectStore, SecretRef } from '../lib';
import { DataCollection } from '../lib/collection/data-collection';
import type { Manifest } from '../lib/validation/manifests';
import { ManifestFile } from '../lib/kubernetes/manifest-file';
import { CLUSTER_SCOPED } from '../lib/kubernetes/namespaces';
import { Foundation } from '../lib/foundation/foundation';
import { Secrets } from '../lib/foundation/secrets';
import { Monitoring } from '../lib/monitoring/monitoring';
import { OwnMonitoring } from '../lib/monitoring/own-monitoring';
import { ModelMonitoring } from '../lib/monitoring/model-monitoring';
import { Observability } from '../lib/observability/observability';
import { ModelRegistration } from '../lib/registry/model-registration';
import { ModelDeployment } from '../lib/serving/model-deployment';
import { Triton } from '../lib/serving/triton';
import { MLflow } from '../lib/training/mlflow';
import { Airflow } from '../lib/workflow/airflow';
import { TRIP } from './support/trip';

/** Stage 2 is the example of docs/testing-manifests.md, run as it stands there. */
const page = readFileSync(join(__dirname, '../docs/testing-manifests.md'), 'utf8');
const [, example] = /```ts\n([\s\S]*?)```/.exec(page)!;
const { code } = transformSync(example!, {
  jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
  module: { type: 'commonjs' },
});
new Function('exports', 'require', code)({}, require);

describe('the stage', () => {
  const trip = definePipeline(TRIP);

  test('collection', () => {
    const source = {
      type: 'sql',
      query: 'SELECT * FROM trips WHERE pickup >= :start AND pickup < :end',
      period: 'month',
      secretName: 'trips-reader',
    } as const;
    const sql = definePipeline({ ...TRIP, source });
    const stage = small();
    const { spec } = new DataCollection(stage, 'collection', {
      ...sql,
      bucket: 'data',
      namespace: 'mlops-steps',
    });
    expect({ spec, objects: stage.toJson() }).toMatchSnapshot();
  });

  test('registration', () => {
    expect(new ModelRegistration(small(), 'registration', trip).spec).toMatchSnapshot();
  });

  test('deployment', () => {
    const accelerator = Accelerator.nvidia({ count: 2 });
    const { spec } = new ModelDeployment(small(), 'deployment', { ...trip, bucket: 'models', accelerator });
    expect(spec).toMatchSnapshot();
  });

  test('observation', () => {
    const stage = small();
    const { spec } = new ModelMonitoring(stage, 'observation', {
      ...trip,
      observability: new Observability(),
    });
    const [rule] = stage.toJson() as Manifest[];
    const names = rule!.spec.groups[0].rules.map(
      ({ record, alert }: { record?: string; alert?: string }) => record ?? alert,
    );
    expect({ spec, rule: rule!.metadata, names }).toMatchSnapshot();
  });
});

describe('the module', () => {
  test('foundation, and what it has besides where it runs Postgres and MinIO itself', () => {
    const external = foundation(outside());
    const inCluster = foundation({
      ...outside(),
      database: Database.inCluster(),
      objectStore: ObjectStore.inCluster(),
    });
    expect(external).toMatchSnapshot();
    expect(inCluster.filter((object) => !external.includes(object))).toMatchSnapshot();
  });

  test('workflow', () => {
    const module = new Airflow(new App({ outdir: 'unused' }), 'module', bound());
    expect(inventory(module)).toMatchSnapshot();
    expect(edges(module, 'airflow-scheduler')).toMatchSnapshot();
  });

  test('training', () => {
    const module = new MLflow(new App({ outdir: 'unused' }), 'module', bound());
    expect(inventory(module)).toMatchSnapshot();
    expect(edges(module, 'mlflow')).toMatchSnapshot();
  });

  test('serving', () => {
    const module = new Triton(new App({ outdir: 'unused' }), 'module', {
      ...bound(),
      accelerator: Accelerator.none(),
    });
    expect(inventory(module)).toMatchSnapshot();
    expect(edges(module, 'triton')).toMatchSnapshot();
  });

  test('monitoring', () => {
    const module = new OwnMonitoring(new App({ outdir: 'unused' }), 'module', {
      ...bound(),
      accelerator: Accelerator.none(),
    });
    expect(inventory(module)).toMatchSnapshot();
    expect(edges(module, 'grafana')).toMatchSnapshot();
  });

  test('monitoring, where somebody else watches', () => {
    const monitoring = Monitoring.existing({
      address: 'http://prometheus.monitoring.svc:9090',
      namespace: 'monitoring',
      labels: { release: 'stack' },
    });
    const app = new App({ outdir: 'unused' });
    const context = { ...bound(), observability: new Observability(monitoring.prometheus) };
    const workflow = new Airflow(app, 'workflow', context);
    const module = monitoring.bind(app, 'module', { ...context, accelerator: Accelerator.none() });
    expect(inventory(module)).toMatchSnapshot();
    expect(edges(workflow, 'airflow-statsd')).toMatchSnapshot();
    expect(edges(workflow, 'airflow-dag-processor')).toMatchSnapshot();
  });
});

function small(): ManifestFile {
  return new ManifestFile(new App({ outdir: 'unused' }), 'test', { file: 'test' });
}

/** What every module gets: a database and an object store outside the cluster, and the settings of its pages. */
function outside() {
  const login = SecretRef.external('login', ['database', 'username', 'password']);
  const key = SecretRef.external('key', ['access-key', 'secret-key']);
  return {
    database: Database.external({ host: 'db.example', credentials: { airflow: login, mlflow: login } }),
    objectStore: ObjectStore.external({
      endpoint: 'https://s3.example',
      credentials: { airflow: key, mlflow: key, triton: key },
    }),
    observability: new Observability(),
    ingress: { domain: 'ml.example', controllerNamespace: 'ingress' },
  };
}

/** What `outside` gives, bound to a file of manifests as the platform binds it. */
function bound() {
  const { database, objectStore, observability, ingress } = outside();
  const stage = small();
  const secrets = new Secrets(stage, 'secrets');
  const context = { secrets, observability, ingress };
  return {
    ...context,
    database: database.bind(stage, context),
    objectStore: objectStore.bind(stage, context),
  };
}

function foundation(props: ReturnType<typeof outside>): string[] {
  return inventory(
    new Foundation(new App({ outdir: 'unused' }), 'module', { ...props, environmentName: 'test' }),
  );
}

/** `Kind namespace/name` of each object. The hash at the end of a Job's name is left out. */
function inventory(module: ManifestFile): string[] {
  return (module.toJson() as Manifest[]).map(({ kind, metadata }) => {
    const name = metadata.name.replace(/-[0-9a-f]{12}$/, '');
    return CLUSTER_SCOPED.includes(kind) ? `${kind} ${name}` : `${kind} ${metadata.namespace}/${name}`;
  });
}

/** The NetworkPolicy of the pods of this name: who may reach them, and whom they may reach. */
function edges(module: ManifestFile, name: string): string {
  const policy = (module.toJson() as Manifest[]).find(
    ({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.name === name,
  )!;
  return dump(policy.spec);
}
