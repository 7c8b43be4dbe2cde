import { App } from 'cdk8s';
import {
  Accelerator,
  Database,
  defineEnvironment,
  definePipeline,
  type EnvironmentProps,
  Monitoring,
  NodeExporter,
  ObjectStore,
  type PipelineProps,
  SecretRef,
} from '../lib';
import { DataCollection } from '../lib/collection/data-collection';
import { batchPeriod, type SourceDefinition, sourceSpec } from '../lib/collection/source';
import { ManifestFile } from '../lib/kubernetes/manifest-file';
import { Workload } from '../lib/kubernetes/workload';
import { render } from '../lib/synth/render';

/** What is wrong, how it is defined, and the path, the value and the way out that the error names. */
type Refusal = readonly [
  wrong: string,
  define: () => unknown,
  path: string,
  received: string,
  wayOut: string | RegExp,
];

const SELF = '(the definition itself)';
const INT = { type: 'int' };

const MINIMAL: PipelineProps = {
  name: 'trip',
  owner: 'Taxi team',
  source: { type: 'http', url: 'https://example.com/{{ month }}.parquet' },
  schedule: '@monthly',
  schema: {
    columns: { pickup: { type: 'datetime' }, distance: { type: 'float' } },
    timestamp: 'pickup',
    features: { distance: { type: 'float' } },
    target: { name: 'minutes', type: 'float' },
  },
  gate: { metric: 'mae', better: 'lower' },
};

const NAME: Refusal[] = [
  ['an empty name', pipeline({ name: '' }), 'name', '""', 'must be a DNS label'],
  ['a name with upper-case letters', pipeline({ name: 'Trip' }), 'name', '"Trip"', "as in 'trip-duration'"],
  ['a name in Korean letters', pipeline({ name: '택시' }), 'name', '"택시"', 'lower-case letters'],
  ['a name with an underscore', pipeline({ name: 'trip_duration' }), 'name', '"trip_duration"', 'dashes'],
  ['a name with a dot', pipeline({ name: 'trip.v2' }), 'name', '"trip.v2"', 'dashes'],
  ['a name that begins with a digit', pipeline({ name: '2trip' }), 'name', '"2trip"', 'beginning with a'],
  ['a name that ends in a dash', pipeline({ name: 'trip-' }), 'name', '"trip-"', 'DNS label'],
  ['a name of 41 characters', pipeline({ name: 'a'.repeat(41) }), 'name', '"aaaa', 'at most 40 characters'],
  ['a name that leaves the folder', pipeline({ name: '../x' }), 'name', '"../x"', 'DNS label'],
  ['a name that is the folder above', pipeline({ name: '..' }), 'name', '".."', 'DNS label'],
  ['a name with a slash', pipeline({ name: 'a/b' }), 'name', '"a/b"', 'DNS label'],
  ['a name with a line after it', pipeline({ name: 'x\nkind: Secret' }), 'name', String.raw`"x\n`, 'DNS'],
  ['a name that ends a line', pipeline({ name: 'trip\n' }), 'name', String.raw`"trip\n"`, 'DNS label'],
  ['a name with NUL', pipeline({ name: 'trip\0' }), 'name', String.raw`"trip\u0000"`, 'DNS label'],
  ['a number for a name', pipeline({ name: 7 }), 'name', '7', 'must be a string'],
  ['no name', pipeline({ name: undefined }), 'name', 'nothing', 'is required'],
  ['two pipelines of one name', renderTwice, 'pipelines', '"trip"', 'rename one of two'],
];

const TEXT: Refusal[] = [
  ['an empty owner', pipeline({ owner: '' }), 'owner', '""', 'must not be empty'],
  ['an owner of blanks', pipeline({ owner: '  ' }), 'owner', '"  "', 'must not be empty'],
  ['an owner of two lines', pipeline({ owner: 'x\nkind: Secret' }), 'owner', '"x', 'must be one line'],
  ['an owner that ends in a line', pipeline({ owner: 'a: b\n' }), 'owner', '"a: b', 'must be one line'],
  ['an owner with NUL', pipeline({ owner: 'a\0b' }), 'owner', '"a', 'without control characters'],
  ['an owner with a line separator', pipeline({ owner: 'a\u2028b' }), 'owner', '"a', 'must be one line'],
  ['an owner that is written backwards', pipeline({ owner: 'a\u202eb' }), 'owner', '"a', 'control char'],
  ['an owner that is half a letter', pipeline({ owner: 'a\ud800' }), 'owner', '"a', 'control characters'],
  ['an owner of 201 characters', pipeline({ owner: 'a'.repeat(201) }), 'owner', '"aaa', 'at most 200 char'],
  ['a description of two lines', pipeline({ description: 'a\r\nb' }), 'description', '"a', 'one line'],
  ['a description that is a list', pipeline({ description: ['a'] }), 'description', '["a"]', 'a string'],
];

const SOURCE: Refusal[] = [
  ['a source over ftp', url('ftp://example.com/{{ month }}'), 'source.url', '"ftp:', 'http or https'],
  ['a source on the disk', url('file:///etc/passwd?{{ month }}'), 'source.url', '"file:', 'http or https'],
  ['a source that is a script', url('javascript:alert({{ month }})'), 'source.url', '"java', 'http or https'],
  ['a source without a host', url('http://'), 'source.url', '"http://"', "as in 'https://example.com/"],
  [
    'a source with spaces',
    url('https://a.example/{{ month }} .csv'),
    'source.url',
    '"https',
    'without spaces',
  ],
  ['a source of two lines', url('https://a.example/{{ month }}\nx: y'), 'source.url', '"https', 'without sp'],
  ['a source with NUL', url('https://a.example/\0{{ month }}'), 'source.url', '"https', 'http or https'],
  ['a source with a quote', url('https://a.example/"{{ month }}'), 'source.url', '"https', 'http or https'],
  ['a source that is not encoded', url('https://a.example/택시/{{ month }}'), 'source.url', '"ht', 'http or'],
  ['a source without a period', url('https://a.example/a.csv'), 'source.url', '"https', 'as in {{ month }}'],
  [
    'a source with an unknown placeholder',
    url('https://a.example/{{ yesterday }}'),
    'source.url',
    '"ht',
    '{{ year }}, {{ mo',
  ],
  [
    'a source with a filter',
    url('https://a.example/{{ month | upper }}'),
    'source.url',
    '"h',
    'nothing else',
  ],
  ['a period over two lines', url('https://a.example/{{\nmonth }}'), 'source.url', '"h', 'nothing else'],
  ['a source with one brace too many', url('https://a.example/{{{ month }}}'), 'source.url', '"h', 'http or'],
  ['a source with a password', url('https://me:pw@a.example/{{ month }}'), 'source.url', '"h', 'readable by'],
  ['a source with a token', url('https://a.example/{{ month }}?token=x'), 'source.url', '"h', 'readable by'],
  [
    'a source on a port that steps do not reach',
    url('https://a.example:8443/{{ month }}'),
    'source.url',
    '"h',
    '80 or 443',
  ],
  ['a source of unknown type', source({ type: 'ftp' }), 'source.type', '"ftp"', 'http, s3, sql, python'],
  ['an end that is no period', source({ until: 'May' }), 'source.until', '"May"', "'2024-01'"],
  [
    'an end that is another kind of period than the source’s',
    source({ until: '2024' }),
    'source.until',
    '"2024"',
    'as long as the source',
  ],
  [
    'an S3 place with a slash in front',
    s3({ prefix: '/a/{{ month }}/' }),
    'prefix',
    '"/a',
    'without a slash',
  ],
  ['an S3 place without a period', s3({ prefix: 'a/' }), 'source.prefix', '"a/"', 'as in {{ month }}'],
  ['a query that writes', sql({ query: 'DELETE FROM t' }), 'source.query', '"DELETE', 'must be a SELECT'],
  ['a query without a period', sql({ query: 'SELECT 1' }), 'source.query', '"SELECT 1"', ':start and :end'],
  ['a query without a Secret', sql({ secretName: undefined }), 'source.secretName', 'nothing', 'is required'],
  ['a database on port 0', sql({ port: 0 }), 'source.port', '0', 'from 1 to 65535'],
  [
    'a Python source without a period',
    source({ type: 'python', url: undefined }),
    'source.period',
    'nothing',
    'year, mo',
  ],
  ['an id that is no column', schema({ requestId: 'id' }), 'schema.requestId', '"id"', 'of type string'],
  ['an unknown format', source({ format: 'xml' }), 'source.format', '"xml"', 'one of parquet, csv'],
  [
    'a file published before its period ends',
    source({ monthsUntilPublished: -1 }),
    'source.monthsUntilPublished',
    '-1',
    'a whole number from 0 to 24',
  ],
];

const SCHEDULE: Refusal[] = [
  '',
  '0 6 1 *',
  '0 0 6 1 * *',
  '* * * * * *',
  '60 * * * *',
  '0 24 * * *',
  '0 0 32 * *',
  '0 0 0 * *',
  '0 0 31 2 *',
  '0 0 * 13 *',
  '0 0 * * 8',
  '0 0 * FOO *',
  '*/0 * * * *',
  'H * * * *',
  '@sometimes',
  '@reboot',
  ' 0 6 1 * *',
  '0 6 1 * *\n',
  '0 6 1 * *; rm',
].map((schedule): Refusal => {
  const shown = JSON.stringify(schedule);
  return [`the schedule ${shown}`, pipeline({ schedule }), 'schedule', shown, 'must be five cron fields'];
});

const SCHEMA: Refusal[] = [
  ['no columns', schema({ columns: {} }), 'schema.columns', '{}', 'at least one column'],
  ['no features', schema({ features: {} }), 'schema.features', '{}', 'at least one feature'],
  ['no target', schema({ target: undefined }), 'schema.target', 'nothing', 'is required'],
  ['a target without a name', target({ name: undefined }), 'schema.target.name', 'nothing', 'is required'],
  [
    'a target among the features',
    target({ name: 'distance' }),
    'schema.target.name',
    '"dist',
    'not be a fea',
  ],
  ['a target that is text', target({ type: 'string' }), 'schema.target.type', '"string"', 'float, int'],
  [
    'features that differ by case',
    features({ Hour: INT, hour: INT }),
    'schema.features',
    '{"H',
    'only by case',
  ],
  ['a target like a feature', target({ name: 'Distance' }), 'schema.features', '{"d', 'only by case'],
  ['a feature with a space', features({ 'a b': INT }), 'schema.features.a b', '"a b"', 'letters, digits'],
  [
    'a feature in Korean letters',
    features({ 시간: INT }),
    'schema.features.시간',
    '"시간"',
    'letters, digits',
  ],
  ['a feature without a name', features({ '': INT }), 'schema.features.', '""', 'letters, digits'],
  ['a feature that is code', features({ 'a"]\nx': INT }), 'a"]\nx', String.raw`"a\"]\nx"`, 'letters, digits'],
  ['a feature of 64 characters', features({ ['a'.repeat(64)]: INT }), 'a', '"aaa', 'at most 63 characters'],
  ['the feature __proto__', features({ a: INT, ['__proto__']: INT }), '__proto__', '{"ty', 'is no name'],
  [
    'the feature __name__',
    features({ __name__: INT }),
    '__name__',
    '"__name__"',
    'beginning with a letter or one underscore',
  ],
  ['a feature that is a date', features({ a: { type: 'datetime' } }), 'a.type', '"datetime"', 'float, int'],
  [
    'a feature with a default',
    features({ a: { ...INT, default: 0 } }),
    'a',
    '{"default":0}',
    'type, min, max',
  ],
  ['min above max', features({ a: { ...INT, min: 2, max: 1 } }), 'schema.features.a.min', '2', 'above max'],
  ['an infinite min', features({ a: { ...INT, min: -Infinity } }), 'a.min', '-Infinity', 'a finite number'],
  ['a max that is no number', features({ a: { ...INT, max: NaN } }), 'a.max', 'NaN', 'a finite number'],
  ['a max that is text', features({ a: { ...INT, max: '9' } }), 'a.max', '"9"', 'a finite number'],
  [
    'a date with a min',
    schema({ columns: { pickup: { type: 'datetime', min: 1 } } }),
    'schema.columns.pickup.type',
    '"datetime"',
    'float or int to have a min or max',
  ],
  [
    'a timestamp that is no column',
    schema({ timestamp: 'when' }),
    'schema.timestamp',
    '"when"',
    'one of the',
  ],
  [
    'a timestamp that is no date',
    schema({ timestamp: 'distance' }),
    'schema.timestamp',
    '"d',
    'type datetime',
  ],
  [
    'a timestamp that is a property of every JavaScript object',
    schema({ timestamp: 'constructor' }),
    'schema.timestamp',
    '"c',
    'one of',
  ],
  [
    'more than all rows in quarantine',
    schema({ maxQuarantined: 2 }),
    'schema.maxQuarantined',
    '2',
    'between 0 and 1',
  ],
  [
    'a share of quarantined rows that is text',
    schema({ maxQuarantined: '5%' }),
    'schema.maxQuarantined',
    '"5%"',
    'between 0 and',
  ],
];

const RESOURCES: Refusal[] = [
  ...['10GB', '-1Gi', '0', '0Gi', '1.5Gi', '10gi', 10, '', ' 1Gi', '1Gi\n', '1e3Mi', '10G', null].map(
    (request): Refusal => {
      const shown = JSON.stringify(request);
      const make = pipeline({ trainer: { memory: { request } } });
      return [`${shown} of memory`, make, 'trainer.memory.request', shown, "as in '512Mi' or '10Gi'"];
    },
  ),
  ...['0', '-1', '0.5', '500 m', '1000u', 1, '', 'two', '0m'].map((request): Refusal => {
    const shown = JSON.stringify(request);
    const make = pipeline({ trainer: { cpu: { request } } });
    return [`${shown} of a CPU`, make, 'trainer.cpu.request', shown, "as in '2' or '500m'"];
  }),
  ...[-1, 0, 0.5, NaN, Infinity, '1', null].map((gpu): Refusal => {
    const shown = typeof gpu === 'number' ? String(gpu) : JSON.stringify(gpu);
    return [`${shown} GPUs`, pipeline({ trainer: { gpu } }), 'trainer.gpu', shown, 'leave it out for none'];
  }),
  ...['1 hour', '0h', '-1h', '24', 24, '1w', '1.5h', '', '1h '].map((timeout): Refusal => {
    const shown = JSON.stringify(timeout);
    return [
      `${shown} of time`,
      pipeline({ trainer: { timeout } }),
      'trainer.timeout',
      shown,
      "'24h' or '7d'",
    ];
  }),
  [
    'more memory than its limit',
    pipeline({ trainer: { memory: { request: '1Gi', limit: '512Mi' } } }),
    'trainer.memory.request',
    '"1Gi"',
    'must not be above its limit',
  ],
  [
    'more CPU than its limit',
    pipeline({ trainer: { cpu: { request: '1500m', limit: '1' } } }),
    'trainer.cpu.request',
    '"1500m"',
    'must not be above its limit',
  ],
  [
    'a limit of CPU without a request',
    pipeline({ trainer: { cpu: { limit: '1' } } }),
    'trainer.cpu.request',
    'nothing',
    'cores',
  ],
];

const THRESHOLDS: Refusal[] = [
  ...[-0.1, 1.5, NaN].map((margin): Refusal => [
    `the margin ${margin}`,
    gate({ margin }),
    'gate.margin',
    String(margin),
    'between 0 and 1',
  ]),
  ['a margin in percent', gate({ margin: '1%' }), 'gate.margin', '"1%"', 'between 0 and 1'],
  ['an infinite limit', gate({ limit: Infinity }), 'gate.limit', 'Infinity', 'a finite number'],
  [
    'a gate for which lower and higher are better',
    gate({ better: 'both' }),
    'gate.better',
    '"both"',
    'must be one of lower, higher',
  ],
  ['a metric with a dash', gate({ metric: 'f1-score' }), 'gate.metric', '"f1-score"', 'underscores'],
  ['no gate', pipeline({ gate: undefined }), 'gate', 'nothing', 'is required'],
  ...[0, 11, -1].map((threshold): Refusal => [
    `the drift ${threshold}`,
    pipeline({ drift: { threshold } }),
    'drift.threshold',
    String(threshold),
    '0.2 is usual',
  ]),
  [
    'drift measured on no sample',
    pipeline({ drift: { minSamples: 0 } }),
    'drift.minSamples',
    '0',
    'whole number from 1',
  ],
  [
    'drift measured over no time',
    pipeline({ drift: { window: '0m' } }),
    'drift.window',
    '"0m"',
    "as in '30m'",
  ],
  ['a batch size of 0', serving({ maxBatchSize: 0 }), 'serving.maxBatchSize', '0', 'from 1 to 65536'],
  ['half an instance', serving({ instances: 0.5 }), 'serving.instances', '0.5', 'from 1 to 64'],
  ['a negative queue delay', serving({ maxQueueDelayMicroseconds: -1 }), 'Microseconds', '-1', 'from 0 to'],
  [
    'a retention of payloads without an end',
    serving({ payloadRetention: 'forever' }),
    'serving.payloadRetention',
    '"forever"',
    "must be a length of time, as in '30m', '24h' or '7d'",
  ],
  ['traceOneIn 0', serving({ traceOneIn: 0 }), 'serving.traceOneIn', '0', 'from 1 to'],
  ['onDrift that is text', pipeline({ retraining: { onDrift: 'yes' } }), 'onDrift', '"yes"', 'a boolean'],
  [
    'a cooldown without an end',
    pipeline({ retraining: { cooldown: 'ever' } }),
    'cooldown',
    '"ever"',
    "as in '30m'",
  ],
];

const SHAPE: Refusal[] = [
  ['a misspelt key', pipeline({ shedule: '@daily' }), SELF, '{"shedule":"@daily"}', /'shedule'.* schedule,/],
  ['a misspelt key below', pipeline({ trainer: { gpus: 1 } }), 'trainer', '{"gpus":1}', /'gpus'.* gpu,/],
  [
    'two misspelt keys',
    gate({ a: 1, b: 2 }),
    'gate',
    '{"a":1,"b":2}',
    "'a', 'b'; its keys are metric, better",
  ],
  [
    'a key that only another object has',
    serving({ memory: 1 }),
    'serving',
    '{"memory":1}',
    'its keys are maxBatchSize',
  ],
  ['nothing', () => definePipeline(undefined as never), SELF, 'nothing', 'is required'],
  ['null', () => definePipeline(null as never), SELF, 'null', 'must be an object'],
  ['a list', () => definePipeline([MINIMAL] as never), SELF, '[{"name":"trip"', 'must be an object'],
  ['text', () => definePipeline('trip' as never), SELF, '"trip"', 'must be an object'],
  ['a trainer that is a list', pipeline({ trainer: [] }), 'trainer', '[]', 'must be an object'],
  ['a trainer that is null', pipeline({ trainer: null }), 'trainer', 'null', 'must be an object'],
  ['a schema that is text', pipeline({ schema: 'a: int' }), 'schema', '"a: int"', 'must be an object'],
];

const ENVIRONMENT: Refusal[] = [
  ['nothing', () => defineEnvironment(undefined as never), SELF, 'nothing', 'is required'],
  ['a misspelt key', environment({ replicas: 2 }), SELF, '{"replicas":2}', 'tritonReplicas'],
  [
    'a domain with a scheme',
    environment({ domain: 'https://a.example' }),
    'domain',
    '"htt',
    'without scheme',
  ],
  [
    'a domain with a port',
    environment({ domain: 'a.example:80' }),
    'domain',
    '"a.example:80"',
    'port or path',
  ],
  ['a domain with upper case', environment({ domain: 'A.example' }), 'domain', '"A.example"', 'host name'],
  ['a domain of two lines', environment({ domain: 'a.example\nb' }), 'domain', '"a.example', 'host name'],
  ['a label of 64 letters', environment({ domain: 'a'.repeat(64) }), 'domain', '"aaa', 'host name'],
  ['a domain that DNS cannot hold', environment({ domain: 'a.'.repeat(120) + 'a' }), 'domain', '"a.a', '200'],
  [
    'an ingress class with a space',
    environment({ ingressClass: 'a b' }),
    'ingressClass',
    '"a b"',
    'DNS label',
  ],
  [
    'a namespace of two lines',
    environment({ ingressNamespace: 'a\nb' }),
    'ingressNamespace',
    '"a',
    'DNS label',
  ],
  [
    'a certificate in the place of its Secret’s name',
    environment({ tlsSecretName: '-----BEGIN' }),
    'tlsSecretName',
    '"---',
    'DNS',
  ],
  ['https in words', environment({ https: 'yes' }), 'https', '"yes"', 'must be a boolean'],
  [
    'http with a certificate',
    environment({ https: false, tlsSecretName: 'tls' }),
    'https',
    'false',
    'must be true with a tlsSecretName',
  ],
  ['a port in words', environment({ ingressPort: '8080' }), 'ingressPort', '"8080"', 'from 1 to 65535'],
  ['port 0', environment({ ingressPort: 0 }), 'ingressPort', '0', 'from 1 to 65535'],
  ['a port too high', environment({ ingressPort: 65536 }), 'ingressPort', '65536', 'from 1 to 65535'],
  ['no replica of Triton', environment({ tritonReplicas: 0 }), 'tritonReplicas', '0', 'from 1 to 100'],
  ['half a replica of MLflow', environment({ mlflowReplicas: 1.5 }), 'mlflowReplicas', '1.5', 'from 1 to 20'],
  ['too many tasks', environment({ parallelism: 1e9 }), 'parallelism', '1000000000', 'from 1 to 1000'],
  [
    'storage in GB',
    () => Monitoring.own({ storage: '10GB' as never }),
    'storage',
    '"10GB"',
    "'512Mi' or '10Gi'",
  ],
  [
    'metrics for a fortnight',
    () => Monitoring.own({ retention: '2w' as never }),
    'retention',
    '"2w"',
    "or '7d'",
  ],
  ...[0, 80, 9100.5, 30000, 65536, '9101'].map((port): Refusal => [
    `node-exporter on the port ${JSON.stringify(port)}`,
    () => NodeExporter.own({ port: port as never }),
    'port',
    JSON.stringify(port),
    'a whole number from 1024 to 29999',
  ]),
  [
    'node-exporter on the port of the kubelet',
    () => NodeExporter.own({ port: 10250 }),
    'port',
    '10250',
    "none of Kubernetes' own ports",
  ],
  [
    'a node-exporter that is only a port',
    () => Monitoring.own({ nodeExporter: 9101 as never }),
    'nodeExporter',
    '9101',
    'NodeExporter.own(…) or NodeExporter.none()',
  ],
  ['GPUs without an accelerator', environment({ gpus: 2 }), 'gpus', '2', 'needs an accelerator'],
  [
    'an accelerator that is only a name',
    environment({ accelerator: 'nvidia' }),
    'accelerator',
    '"nvidia"',
    '.nvidia(',
  ],
  [
    'an empty database',
    environment({ database: {} }),
    'database',
    '{}',
    'Database.inCluster(…) or Database.ext',
  ],
  [
    'a database without parentheses',
    environment({ database: Database.inCluster }),
    'database',
    'a function',
    'inCluster(…)',
  ],
  ['no object store', environment({ objectStore: null }), 'objectStore', 'null', 'ObjectStore.inCluster(…)'],
  [
    'fewer GPUs than Triton takes',
    environment({ accelerator: Accelerator.nvidia({ count: 2 }), tritonReplicas: 2, gpus: 3 }),
    'gpus',
    '3',
    'must not be fewer than Triton takes (accelerator.count × tritonReplicas)',
  ],
  [
    'half a GPU',
    () => Accelerator.nvidia({ count: 0.5 }),
    'accelerator.count',
    '0.5',
    'whole number of GPUs',
  ],
  ['GPUs without number', () => Accelerator.nvidia({ count: NaN }), 'accelerator.count', 'NaN', 'at least 1'],
  [
    'a database in GB',
    () => Database.inCluster({ storage: '9GB' as never }),
    'storage',
    '"9GB"',
    "or '10Gi'",
  ],
  [
    'a database host with a port',
    database({ host: 'db.example:5432' }),
    'host',
    '"db.example:5432"',
    'without',
  ],
  ['a database host with a login', database({ host: 'me:pw@db' }), 'host', '"me:pw@db"', 'without scheme'],
  ['a database port out of range', database({ port: 70_000 }), 'port', '70000', 'from 1 to 65535'],
  ['a store with a path', store({ endpoint: 'https://s3.example/x' }), 'endpoint', '"http', 'without a path'],
  [
    'a store with a password',
    store({ endpoint: 'https://a:b@s3.example' }),
    'endpoint',
    '"ht',
    'must be an http',
  ],
  ['a store without a scheme', store({ endpoint: 's3.example' }), 'endpoint', '"s3.example"', 'as in'],
  ['a store in a region of two lines', store({ region: 'a\nb' }), 'region', '"a', "as in 'eu-central-1'"],
  [
    'buckets in upper case',
    store({ bucketPrefix: 'ACME-' }),
    'bucketPrefix',
    '"ACME-"',
    "as in 'acme-mlops-'",
  ],
  [
    'a store with an access key in its props',
    store({ accessKey: 'AKIA' }),
    SELF,
    '{"accessKey":"AKIA"}',
    'its keys are',
  ],
  [
    'a password in the place of a Secret’s name',
    secret('Pa$$w0rd!'),
    'secret',
    '"Pa$$w0rd!"',
    'the name of a Secret',
  ],
  [
    'a private key in the place of a Secret’s name',
    secret('-----BEGIN PRIVATE KEY-----\nMII'),
    'secret',
    '"-----BEGIN',
    'never its value',
  ],
  [
    'an unknown key of a Secret',
    () => SecretRef.external('a', ['b']).key('c'),
    "Secret 'a'",
    '"c"',
    'the keys b',
  ],
  [
    'a database without a login for MLflow',
    () => render('x', external({ database: { airflow: login('airflow') } }), []),
    'database.credentials',
    '["airflow"]',
    "needs a Secret for the client 'mlflow'",
  ],
  [
    'an object store without a key for the steps',
    () =>
      render(
        'x',
        external({ objectStore: { airflow: key('airflow'), mlflow: key('mlflow'), triton: key('triton') } }),
        [],
      ),
    'objectStore.credentials',
    '["airflow","mlflow","triton"]',
    "needs a Secret for the client 'steps'",
  ],
  [
    'a GPU that Triton already has',
    () =>
      render('x', defineEnvironment({ accelerator: Accelerator.nvidia() }), [
        { definition: definePipeline({ ...MINIMAL, trainer: { gpu: 1 } }), model: '' },
      ]),
    "pipeline 'trip': trainer.gpu",
    '1',
    "raise the environment's gpus, or train on the CPU",
  ],
];

const REFUSED = { NAME, TEXT, SOURCE, SCHEDULE, SCHEMA, RESOURCES, THRESHOLDS, SHAPE, ENVIRONMENT };

describe.each(Object.entries(REFUSED))('%s refuses', (_, refusals) => {
  test.each(refusals)('%s', (_wrong, define, path, received, wayOut) => {
    const problem = messageOf(define)
      .split('\n  - ')
      .find((line) => line.includes(`${path}: `) && line.includes(`, got ${received}`));
    expect(problem).toMatch(wayOut);
  });
});

test('the refusals are many, and each has a name of its own', () => {
  for (const refusals of Object.values(REFUSED)) {
    expect(new Set(refusals.map(([wrong]) => wrong)).size).toBe(refusals.length);
  }
  expect(Object.values(REFUSED).flat().length).toBeGreaterThanOrEqual(150);
});

describe('a definition', () => {
  test('is refused for all its faults at once', () => {
    const message = messageOf(pipeline({ name: 'X', owner: '', schedule: 'now', trainer: { gpu: 0 } }));
    expect(message.split('\n')).toHaveLength(5);
    expect(message).toContain('pipeline "X" cannot be synthesized:');
  });

  test('gets the defaults that its documentation promises', () => {
    expect(definePipeline(MINIMAL)).toEqual({
      ...MINIMAL,
      source: { ...MINIMAL.source, format: 'parquet', monthsUntilPublished: 0 },
      schema: {
        ...MINIMAL.schema,
        columns: {
          pickup: { type: 'datetime', nullable: false },
          distance: { type: 'float', nullable: false },
        },
        maxQuarantined: 0.1,
      },
      trainer: { cpu: { request: '500m' }, memory: { request: '1Gi', limit: '2Gi' }, timeout: '1h' },
      gate: { metric: 'mae', better: 'lower', margin: 0.01 },
      serving: {
        maxBatchSize: 256,
        maxQueueDelayMicroseconds: 500,
        instances: 1,
        traceOneIn: 10,
        gpu: true,
        shadow: false,
        payloads: false,
        payloadRetention: '90d',
      },
      drift: { threshold: 0.2, window: '1h', minSamples: 500 },
      retraining: { onDrift: true, cooldown: '24h', every: '5m', reportEvery: '24h' },
    });
  });

  test('keeps every value it is given', () => {
    expect(definePipeline(EVERYTHING)).toEqual(EVERYTHING);
  });

  test('stays the same when it is defined a second time', () => {
    expect(definePipeline(definePipeline(MINIMAL))).toEqual(definePipeline(MINIMAL));
  });

  test('may name its features and target like properties of every object', () => {
    const { schema } = definePipeline({
      ...MINIMAL,
      schema: {
        ...MINIMAL.schema,
        features: { constructor: { type: 'int' }, toString: { type: 'int' } } as never,
        target: { name: 'valueOf', type: 'float' },
      },
    });
    expect(Object.keys(schema.features)).toEqual(['constructor', 'toString']);
  });

  test.each(['0 6 1 * *', '*/15 * * * *', '0 0 29 2 *', '0 9 * JAN-MAR mon-fri', '@yearly'])(
    'may run on the schedule %s',
    (schedule) => expect(definePipeline({ ...MINIMAL, schedule }).schedule).toBe(schedule),
  );

  test.each([
    'http://example.com/{{year}}/{{ month }}.csv?hour={{ hour }}#{{ date }}',
    'https://example.com:443/{{ month }}/a@b',
    'http://files.mlops-platform.svc:8000/{{ month }}',
  ])('may come from %s', (url) => {
    expect(definePipeline({ ...MINIMAL, source: { type: 'http', url } }).source).toMatchObject({ url });
  });

  test.each<PipelineProps['source']>([
    { type: 's3', prefix: 'incoming/{{ date }}/', format: 'csv' },
    {
      type: 'sql',
      query: 'select * from t where at >= :start and at < :end',
      period: 'hour',
      secretName: 'db',
    },
    { type: 'python', period: 'month', until: '2024-01' },
  ])('may come from $type', (source) => {
    expect(definePipeline({ ...MINIMAL, source }).source).toMatchObject(source);
  });

  test.each([
    ['{{ year }}.csv', 'year'],
    ['{{ year }}/{{ month }}.csv', 'month'],
    ['{{ date }}/{{ year }}', 'date'],
    ['{{hour}}', 'hour'],
  ])('has batches as long as the finest placeholder of %s says: %s', (template, period) => {
    for (const source of [
      { type: 'http', url: `https://example.com/${template}` },
      { type: 's3', prefix: `incoming/${template}` },
    ] as const) {
      const { source: defined } = definePipeline({ ...MINIMAL, source });
      expect(sourceSpec(defined, 'data')).toMatchObject({ type: source.type, period });
    }
  });

  test('is refused where its source has an unknown type and was never checked', () => {
    // @ts-expect-error ftp is no type of source
    expect(() => batchPeriod({ type: 'ftp', period: 'month' })).toThrow(
      'source.type: must be one of http, s3, sql, python, got "ftp"',
    );
    const source = { ...definePipeline(MINIMAL).source, type: 'ftp' } as unknown as SourceDefinition;
    const scope = new ManifestFile(new App({ outdir: 'unused' }), 'scope', { file: 'test' });
    const { schema } = definePipeline(MINIMAL);
    const props = { name: 'trip', source, schema, bucket: 'data', namespace: 'mlops-steps' };
    expect(() => new DataCollection(scope, 'collection', props)).toThrow(
      'must be one of http, s3, sql, python',
    );
  });

  test.each(['Größe, 크기 🚕 "quoted"', 'no', '- a: b # c', '{{ jinja }} $(VARIABLE) %s'])(
    'may be owned by %s',
    (owner) => expect(definePipeline({ ...MINIMAL, owner }).owner).toBe(owner),
  );
});

describe('an environment', () => {
  test('gets the defaults that its documentation promises', () => {
    expect(defineEnvironment({})).toMatchObject({
      accelerator: { count: 0 },
      tritonReplicas: 1,
      mlflowReplicas: 1,
      airflowApiServerReplicas: 1,
      parallelism: 8,
      domain: 'mlops.localhost',
      ingressNamespace: 'kube-system',
      monitoring: { bringsDefinitions: true },
      ingress: { domain: 'mlops.localhost', controllerNamespace: 'kube-system' },
      trainingGpus: 0,
      externalSecrets: [],
    });
  });

  test('leaves to training the GPUs that Triton does not take', () => {
    const accelerator = Accelerator.nvidia({ count: 2 });
    expect(defineEnvironment({ accelerator, tritonReplicas: 2 }).trainingGpus).toBe(0);
    expect(defineEnvironment({ accelerator, tritonReplicas: 2, gpus: 7 }).trainingGpus).toBe(3);
  });

  test('keeps every value it is given, and says which Secrets it expects', () => {
    const props = {
      accelerator: Accelerator.nvidia(),
      gpus: 8,
      tritonReplicas: 3,
      mlflowReplicas: 2,
      airflowApiServerReplicas: 2,
      parallelism: 64,
      domain: 'ml.example.com',
      ingressClass: 'nginx',
      ingressNamespace: 'ingress-nginx',
      tlsSecretName: 'ml-tls',
      https: true,
      ingressPort: 8443,
      storageClass: 'fast',
      monitoring: Monitoring.own({
        retention: '30d',
        storage: '1Ti',
        nodeExporter: NodeExporter.own({ port: 9101 }),
      }),
    } as const;
    const environment = defineEnvironment({
      ...props,
      database: Database.external({ host: 'db.example.com', credentials: { airflow: login('pg-airflow') } }),
      objectStore: ObjectStore.external({
        endpoint: 'http://s3.example.com:9000',
        region: 'eu-central-1',
        bucketPrefix: 'acme-',
        credentials: { steps: key('s3-steps') },
      }),
    });
    expect(environment).toMatchObject(props);
    expect(environment.ingress).toMatchObject({ https: true, port: 8443, tlsSecretName: 'ml-tls' });
    expect(environment.externalSecrets.map(({ name }) => name)).toEqual(['pg-airflow', 's3-steps', 'ml-tls']);
  });
});

test('wrong wiring does not compile', () => {
  // The compiler is the test: `npm run check` fails where one of these lines compiles.
  const wrong = [
    // @ts-expect-error 10GB is no amount
    () => Monitoring.own({ storage: '10GB' }),
    // @ts-expect-error a number is no amount
    () => Database.inCluster({ storage: 10 }),
    // @ts-expect-error a node-exporter is an object, never a port
    () => Monitoring.own({ nodeExporter: 9101 }),
    // @ts-expect-error a length of time has no unit for weeks
    () => Monitoring.own({ retention: '2w' }),
    // @ts-expect-error a database is an object, never its address
    () => defineEnvironment({ database: 'postgres://db.example.com' }),
    // @ts-expect-error an object store is no database
    () => defineEnvironment({ database: ObjectStore.inCluster() }),
    // @ts-expect-error a Prometheus that somebody else runs has selectors, which want labels
    () => Monitoring.existing({ address: 'http://prometheus', namespace: 'monitoring' }),
    // @ts-expect-error an accelerator is an object, never a number
    () => defineEnvironment({ accelerator: 1 }),
    // @ts-expect-error a login is a SecretRef, never a password
    () => Database.external({ host: 'db', credentials: { airflow: 'hunter2' } }),
    // @ts-expect-error an accelerator cannot be made by hand
    () => new Accelerator(1, {}),
    // @ts-expect-error a definition with half of its required props
    () => definePipeline({ name: 'trip', owner: 'me' }),
    // @ts-expect-error a misspelt key
    () => definePipeline({ ...MINIMAL, shedule: '@daily' }),
    // @ts-expect-error better is lower or higher
    () => definePipeline({ ...MINIMAL, gate: { metric: 'mae', better: 'smaller' } }),
    // @ts-expect-error Triton takes numbers
    () => definePipeline({ ...MINIMAL, schema: { ...MINIMAL.schema, features: { a: { type: 'string' } } } }),
    // @ts-expect-error a connection is an object, never an address
    () => workload().uses('postgres:5432'),
    // @ts-expect-error an edge ends at a NetworkPolicy, never at a name
    () => workload().networkPolicy.allowTo('postgres', 5432),
    // @ts-expect-error a variable's value is text, never a number
    () => workload().setEnv('PORT', 8080),
    // @ts-expect-error a pipeline is a definition with its model, never a name
    () => render('laptop', defineEnvironment({}), ['trip']),
  ];
  expect(wrong).toHaveLength(18);
});

const EVERYTHING: PipelineProps = {
  name: 'everything',
  owner: 'A team <team@example.com>',
  description: 'What it is for',
  source: {
    type: 'http',
    url: 'https://example.com/{{ date }}.csv',
    format: 'csv',
    monthsUntilPublished: 2,
    until: '2024-01-31',
  },
  schedule: '0 6 1 * *',
  schema: {
    columns: {
      at: { type: 'datetime', nullable: true },
      id: { type: 'string', nullable: false },
      size: { type: 'float', nullable: false, min: -1.5, max: 1e9 },
    },
    timestamp: 'at',
    features: { size: { type: 'float', min: -1.5, max: 1e9 }, count: { type: 'int', min: 0, max: 0 } },
    target: { name: 'price', type: 'int', min: 0, max: 9 },
    maxQuarantined: 0,
    requestId: 'id',
  },
  trainer: {
    cpu: { request: '1500m', limit: '2' },
    memory: { request: '1024Mi', limit: '1Gi' },
    gpu: 2,
    timeout: '7d',
  },
  gate: { metric: 'rmse', better: 'higher', margin: 0, limit: -3 },
  serving: {
    maxBatchSize: 1,
    maxQueueDelayMicroseconds: 0,
    instances: 64,
    traceOneIn: 1,
    gpu: false,
    shadow: true,
    payloads: true,
    payloadRetention: '36h',
  },
  drift: { threshold: 10, window: '30m', minSamples: 1 },
  retraining: { onDrift: false, onError: 12.5, cooldown: '1h', every: '1m', reportEvery: '7d' },
};

function pipeline(change: object) {
  return () => definePipeline({ ...MINIMAL, ...change } as PipelineProps);
}

function source(change: object) {
  return pipeline({ source: { ...MINIMAL.source, ...change } });
}

function s3(change: object) {
  return pipeline({ source: { type: 's3', prefix: 'incoming/{{ month }}/', ...change } });
}

function sql(change: object) {
  const query = 'SELECT * FROM trips WHERE pickup >= :start AND pickup < :end';
  return pipeline({ source: { type: 'sql', query, period: 'date', secretName: 'trips-reader', ...change } });
}

function url(url: string) {
  return source({ url });
}

function schema(change: object) {
  return pipeline({ schema: { ...MINIMAL.schema, ...change } });
}

function features(features: object) {
  return schema({ features });
}

function target(change: object) {
  return schema({ target: { ...MINIMAL.schema.target, ...change } });
}

function gate(change: object) {
  return pipeline({ gate: { ...MINIMAL.gate, ...change } });
}

function serving(serving: object) {
  return pipeline({ serving });
}

function environment(props: object) {
  return () => defineEnvironment(props as EnvironmentProps);
}

function database(change: object) {
  return () => Database.external({ host: 'db.example.com', credentials: {}, ...change });
}

function store(change: object) {
  return () => ObjectStore.external({ endpoint: 'https://s3.example.com', credentials: {}, ...change });
}

function secret(name: string) {
  return () => SecretRef.external(name, ['password']);
}

function login(name: string) {
  return SecretRef.external(name, ['database', 'username', 'password']);
}

function key(name: string) {
  return SecretRef.external(name, ['access-key', 'secret-key']);
}

function external(credentials: Partial<Record<'database' | 'objectStore', Record<string, SecretRef>>>) {
  return defineEnvironment({
    database:
      credentials.database &&
      Database.external({ host: 'db.example.com', credentials: credentials.database }),
    objectStore:
      credentials.objectStore &&
      ObjectStore.external({ endpoint: 'https://s3.example.com', credentials: credentials.objectStore }),
  });
}

function renderTwice() {
  const source = { definition: definePipeline(MINIMAL), model: '' };
  return render('laptop', defineEnvironment({}), [source, source]);
}

function workload() {
  return new Workload(new ManifestFile(new App({ outdir: 'unused' }), 'scope', { file: 'test' }), 'web', {
    name: 'web',
    system: 'web',
    component: 'server',
    image: 'example.com/web:1.0.0',
    user: { uid: 1, gid: 1 },
    cpu: { request: '1' },
    memory: { request: '1Gi' },
  });
}

function messageOf(define: () => unknown): string {
  try {
    define();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('it was accepted');
}
