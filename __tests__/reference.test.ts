import { readFileSync } from 'node:fs';
import { App, Chart } from 'cdk8s';
import {
  Accelerator,
  Database,
  defineEnvironment,
  definePipeline,
  NodeExporter,
  ObjectStore,
  type PipelineProps,
  SecretRef,
} from '../lib';
import type { DatabaseContext } from '../lib/foundation/database';
import type { ObjectStoreContext } from '../lib/foundation/object-store';
import { existingMonitoringSchema } from '../lib/monitoring/existing-prometheus';
import { page, REFERENCE, sections } from '../scripts/generate/reference';
import { objectsOf } from './support/dist';
import { TRIP } from './support/trip';
import { OBJECT_STORE } from './support/object-store';

const all = sections();
const rows = all.flatMap((section) => section.props.map((prop) => ({ section, prop })));
type Row = (typeof rows)[number];
const source = (props: PipelineProps['source']) => definePipeline({ ...TRIP, source: props });

/**
 * Definitions with the required props only, so that they show the defaults that the code fills in, by section of the
 * page. The definition of every other section is the pipeline TRIP.
 */
const filledIn: Record<string, unknown> = {
  EnvironmentProps: defineEnvironment({}),
  S3Source: source({ type: 's3', prefix: 'incoming/{{ month }}/' }),
  SqlSource: source({
    type: 'sql',
    query: 'select * from trips where at >= :start and at < :end',
    period: 'month',
    secretName: 'trips',
  }),
  PythonSource: source({ type: 'python', period: 'month' }),
  'Database.inCluster({ … })': { storage: claimOf('postgres-data') },
  'Database.external({ … })': { port: externalPort() },
  'ObjectStore.inCluster({ … })': { storage: claimOf(OBJECT_STORE.claim) },
  'ObjectStore.external({ … })': { region: externalRegion() },
  'Accelerator.nvidia({ … })': Accelerator.nvidia(),
  'Monitoring.own({ … })': ownMonitoring(),
  'Monitoring.existing({ … })': existingPrometheus(),
  'NodeExporter.own({ … })': NodeExporter.own(),
  ExistingDashboards: existingPrometheus(),
};
const trip = definePipeline(TRIP);

test('docs/reference.md is what `npm run reference` writes', () => {
  expect(readFileSync(REFERENCE, 'utf8')).toBe(page(all));
});

test('the page has the props of every module', () => {
  expect(all.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['PipelineProps', 'HttpSource', 'Column', 'Gate', 'EnvironmentProps', 'Bytes']),
  );
  expect(rows.map(({ prop }) => prop.path)).toEqual(
    expect.arrayContaining(['trainer.memory.request', 'schema.columns.<name>.type', 'schema.target.name']),
  );
});

test('every link of the page leads to a section', () => {
  const links = [...page(all).matchAll(/\]\(#([^)]*)\)/g)].map(([, link]) => link);
  const names = all.map(({ name }) => name.toLowerCase());
  expect(links.length).toBeGreaterThan(20);
  expect(links.filter((link) => !names.includes(link!))).toEqual([]);
});

test('every section and every prop has a sentence', () => {
  const said = [
    ...all.map(({ name, sentence }) => ({ name, sentence })),
    ...rows.map((row) => ({ name: title(row), sentence: row.prop.sentence })),
  ];
  expect(said.length).toBeGreaterThan(100);
  // A tag that the compiler does not recognize becomes part of the sentence.
  expect(said.filter(({ sentence }) => !/\.$/.test(sentence) || sentence.includes('@default'))).toEqual([]);
});

test('a prop has a default where it may be left out, and nowhere else', () => {
  const wrong = rows.filter(({ prop }) => (prop.default === undefined) !== prop.required);
  expect(wrong.map(title)).toEqual([]);
});

test.each(rows.filter(literal).map((row) => [title(row), row] as const))(
  '%s: the default is the one that the code fills in',
  (_, row) => expect(String(value(row))).toBe(row.prop.default),
);

test('where the table describes what happens instead of a default, the code fills in no value', () => {
  const filled = rows
    // The request and the limit of an amount have one default together, which the next test compares.
    .filter((row) => !row.prop.required && !literal(row) && !row.prop.path.endsWith('.limit'))
    .filter((row) => value(row) !== undefined && typeof value(row) !== 'object');
  expect(filled.map(title)).toEqual([]);
});

test('the amounts of a training step are those that the table names', () => {
  const { cpu, memory } = trip.trainer;
  const said = (path: string) => rows.find(({ prop }) => prop.path === path)!.prop.default;
  expect(said('trainer.cpu')).toBe(`- ${cpu.request}, ${cpu.limit ?? 'unlimited'}`);
  expect(said('trainer.memory')).toBe(`- ${memory.request}, at most ${memory.limit}`);
});

function literal({ prop }: Row): boolean {
  return prop.default !== undefined && !prop.default.startsWith('- ');
}

function title({ section, prop }: Row): string {
  return `${section.name}: ${prop.path}`;
}

/** The value at a prop's path; `<name>` in a path stands for the first key that is there. */
function value({ section, prop }: Row): unknown {
  return prop.path
    .split('.')
    .reduce<unknown>(
      (from, key) =>
        key === '<name>'
          ? Object.values(from as object)[0]
          : (from as Record<string, unknown> | undefined)?.[key],
      filledIn[section.name] ?? trip,
    );
}

/** The size of the volume that a default environment gives to a server, as in `10Gi`. */
function claimOf(name: string): string {
  const claim = objectsOf('laptop').find(
    ({ kind, metadata }) => kind === 'PersistentVolumeClaim' && metadata.name === name,
  ) as { spec: { resources: { requests: { storage: string } } } } | undefined;
  return claim!.spec.resources.requests.storage;
}

/** What a default environment gives to Prometheus. */
function ownMonitoring(): object {
  const { spec } = objectsOf('laptop').find(({ kind }) => kind === 'Prometheus')!;
  return {
    retention: spec.retention,
    storage: spec.storage.volumeClaimTemplate.spec.resources.requests.storage,
  };
}

function existingPrometheus(): object {
  return existingMonitoringSchema.parse({
    address: 'http://prometheus',
    namespace: 'monitoring',
    labels: {},
  });
}

function externalPort(): number {
  const credentials = { mlflow: SecretRef.external('db', ['database', 'username', 'password']) };
  const database = Database.external({ host: 'db.example.com', credentials });
  return database.bind(new Chart(new App(), 'test'), {} as DatabaseContext).client('mlflow').endpoint.port;
}

function externalRegion(): unknown {
  const credentials = { mlflow: SecretRef.external('s3', ['access-key', 'secret-key']) };
  const store = ObjectStore.external({ endpoint: 'https://s3.example.com', credentials });
  return store
    .bind(new Chart(new App(), 'test'), {} as ObjectStoreContext)
    .client({ name: 'mlflow', buckets: { mlflow: 'write' } }).env.AWS_DEFAULT_REGION;
}
