import { validate } from '../lib/validation/validation';
import type { Manifest } from '../lib/validation/manifests';
import { defineEnvironment, definePipeline } from '../lib';
import { render } from '../lib/synth/render';
import { TRIP } from './support/trip';

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a test writes values that no type allows
type Json = { [key: string]: any };

/** What is wrong, the change that makes it so, and what the violation must say of one end or of both. */
type Defect = [planted: string, plant: (shop: Shop) => void, says: string, alsoSays?: string];

const SERVICES: Defect[] = [
  [
    'a port that the pod does not have',
    (s) => (port(s.service).targetPort = 'https'),
    'Service a/web',
    "'http' leads to 'https', which Deployment a/web does not have (it has http)",
  ],
  [
    'a port number that the pod does not have',
    (s) => (port(s.service).targetPort = 81),
    "leads to '81', which Deployment a/web",
  ],
  [
    'a port that is no target port either',
    (s) => delete port(s.service).targetPort,
    "leads to '80', which Deployment a/web",
  ],
  [
    'a Service that selects nothing',
    (s) => (s.service.spec.selector = { app: 'other' }),
    'Service a/web: selects no pod',
    '{"app":"other"}',
  ],
  ['a Service without a selector', (s) => delete s.service.spec.selector, 'Service a/web: selects no pod'],
  [
    'a Service in another namespace',
    (s) => (s.service.metadata.namespace = 'b'),
    'Service b/web: selects no pod',
    '{"app":"web"}',
  ],
  [
    'an Ingress to no Service',
    (s) => (backend(s).name = 'shop'),
    "Ingress a/web: leads to Service 'shop', which does not exist",
  ],
  [
    'an Ingress to no port',
    (s) => (backend(s).port = { name: 'https' }),
    "Ingress a/web: leads to port 'https' of Service a/web, which has http",
  ],
  [
    'an Ingress to no port number',
    (s) => (backend(s).port = { number: 81 }),
    "leads to port '81' of Service a/web",
  ],
];

const MONITORS: Defect[] = [
  [
    'a ServiceMonitor that selects nothing',
    (s) => (s.serviceMonitor.spec.selector.matchLabels = { app: 'x' }),
    'ServiceMonitor a/web: selects no Service',
    '{"app":"x"}',
  ],
  [
    'a ServiceMonitor of another namespace',
    (s) => (s.serviceMonitor.spec.namespaceSelector = { matchNames: ['b'] }),
    'ServiceMonitor a/web: selects no Service',
  ],
  [
    'a ServiceMonitor of no port',
    (s) => (s.serviceMonitor.spec.endpoints[0].port = 'metrics'),
    "ServiceMonitor a/web: scrapes port 'metrics' of Service a/web, which has http",
  ],
  [
    'a PodMonitor that selects nothing',
    (s) => (s.podMonitor.spec.selector.matchLabels = { app: 'x' }),
    'PodMonitor a/web: selects no pod',
    '{"app":"x"}',
  ],
  [
    'a PodMonitor of no port',
    (s) => (s.podMonitor.spec.podMetricsEndpoints[0].port = 'metrics'),
    "scrapes port 'metrics' of Deployment a/web, which has http",
  ],
  [
    'a PodMonitor of a pod without ports',
    (s) => delete container(s).ports,
    "scrapes port 'http' of Deployment a/web, which has none",
  ],
  ...(
    [
      ['serviceMonitorNamespaceSelector', 'ServiceMonitor'],
      ['podMonitorNamespaceSelector', 'PodMonitor'],
      ['ruleNamespaceSelector', 'PrometheusRule'],
    ] as const
  ).map(([selector, kind]): Defect => [
    `a ${kind} in a namespace without the label that Prometheus looks for`,
    (s) => s.all.push(prometheus({ [selector]: { matchLabels: { seen: 'true' } } })),
    `${kind} a/web: Prometheus a/main takes none from namespace 'a', which lacks {"seen":"true"}`,
  ]),
];

const REFERENCES: Defect[] = [
  [
    'a Secret that nobody makes',
    (s) => (secretOf(s).name = 'logins'),
    'Deployment a/web: PASSWORD',
    "wants Secret 'logins' in a, which is neither generated nor declared external",
  ],
  [
    'a key that the Secret does not have',
    (s) => (secretOf(s).key = 'pass'),
    'Deployment a/web: PASSWORD',
    "wants key 'pass' of Secret 'login', which has username, password",
  ],
  ['a Secret of another namespace', (s) => (secretOf(s).name = 'elsewhere'), "Secret 'elsewhere' in a"],
  [
    'a Secret that no init container finds',
    (s) =>
      (s.pod.initContainers = [
        { ...container(s), env: [{ name: 'TOKEN', valueFrom: { secretKeyRef: { name: 'x', key: 'y' } } }] },
      ]),
    "Deployment a/web: TOKEN wants Secret 'x' in a",
  ],
  [
    'a whole Secret that nobody makes',
    (s) => (container(s).envFrom = [{ secretRef: { name: 'x' } }]),
    "container 'web' wants Secret 'x' in a",
  ],
  [
    'a mounted Secret that nobody makes',
    (s) => s.pod.volumes.push({ name: 'v', secret: { secretName: 'x' } }),
    "volume 'v' wants Secret 'x' in a",
  ],
  [
    'a mounted key that the Secret does not have',
    (s) => s.pod.volumes.push({ name: 'v', secret: { secretName: 'login', items: [{ key: 'pem' }] } }),
    "volume 'v' wants key 'pem' of Secret 'login'",
  ],
  [
    'a monitor with a Secret that nobody makes',
    (s) => (s.serviceMonitor.spec.endpoints[0].basicAuth = { username: { name: 'x', key: 'y' } }),
    'ServiceMonitor a/web: basicAuth.username',
    "wants Secret 'x' in a",
  ],
  [
    'a PodMonitor with a key that the Secret does not have',
    (s) => (s.podMonitor.spec.podMetricsEndpoints[0].basicAuth = { password: { name: 'login', key: 'y' } }),
    'PodMonitor a/web: basicAuth.password',
    "key 'y' of Secret 'login'",
  ],
  [
    'an Ingress with a certificate that nobody makes',
    (s) => (s.ingress.spec.tls = [{ secretName: 'tls' }]),
    "Ingress a/web: tls wants Secret 'tls' in a",
  ],
  [
    'a ConfigMap that does not exist',
    (s) => (s.configMap.metadata.name = 'other'),
    "Deployment a/web: mounts ConfigMap 'files', which does not exist in a",
  ],
  [
    'a ConfigMap in another namespace',
    (s) => (s.configMap.metadata.namespace = 'b'),
    "mounts ConfigMap 'files', which does not exist in a",
  ],
  [
    'a key that the ConfigMap does not have',
    (s) => (s.configMap.data = {}),
    "Deployment a/web: MODE wants key 'mode' of ConfigMap 'files'",
  ],
  [
    'a whole ConfigMap that does not exist',
    (s) => (container(s).envFrom = [{ configMapRef: { name: 'x' } }]),
    "reads ConfigMap 'x', which does not exist in a",
  ],
  [
    'a claim that does not exist',
    (s) => (s.claim.metadata.name = 'other'),
    "Deployment a/web: mounts PersistentVolumeClaim 'data', which does not exist in a",
  ],
  [
    'a volume that the pod does not have',
    (s) => s.pod.volumes.shift(),
    "Deployment a/web: container 'web' mounts volume 'files', which the pod does not have",
  ],
  [
    'an account that does not exist',
    (s) => (s.pod.serviceAccountName = 'x'),
    "Deployment a/web: runs as ServiceAccount 'x', which does not exist in a",
  ],
  [
    'the account of a CronJob that does not exist',
    (s) => s.all.push(cronJob({ ...s.pod, serviceAccountName: 'x' })),
    "CronJob a/night: runs as ServiceAccount 'x'",
  ],
  [
    'the account of a Prometheus that does not exist',
    (s) => s.all.push(prometheus({ serviceAccountName: 'x' })),
    "Prometheus a/main: runs as ServiceAccount 'x'",
  ],
  [
    'a binding to no role',
    (s) => (s.binding.roleRef.name = 'x'),
    "RoleBinding a/web: grants Role 'x', which does not exist",
  ],
  [
    'a binding to a role of another namespace',
    (s) => (s.role.metadata.namespace = 'b'),
    "grants Role 'web', which does not exist",
  ],
  [
    'a binding to no account',
    (s) => (s.binding.subjects[0].name = 'x'),
    "RoleBinding a/web: grants to ServiceAccount 'a/x', which does not exist",
  ],
  [
    'a NetworkPolicy around no pod',
    (s) => (s.networkPolicy.spec.podSelector.matchLabels = { app: 'x' }),
    'NetworkPolicy a/web: selects no pod',
    '{"app":"x"}',
  ],
  [
    'a NetworkPolicy in another namespace',
    (s) => (s.networkPolicy.metadata.namespace = 'b'),
    'NetworkPolicy b/web: selects no pod',
  ],
  [
    'a namespace that does not exist',
    (s) => (s.claim.metadata.namespace = 'c'),
    "PersistentVolumeClaim c/data: is in namespace 'c', which does not exist",
  ],
  [
    'an object of no namespace',
    (s) => delete s.role.metadata.namespace,
    "Role web: has no namespace, and would be created in 'default'",
  ],
];

const ADDRESSES: Defect[] = [
  [
    'the address of no Service',
    (s) => env(s, 'URL', 'http://shop.a.svc:80/x'),
    "Deployment a/web: spec.template.spec.containers[0].env[2].value has 'shop.a.svc:80'",
    "no Service 'shop' in a",
  ],
  [
    'the address of another namespace',
    (s) => env(s, 'URL', 'web.b.svc.cluster.local'),
    "no Service 'web' in b",
  ],
  [
    'an address with a port that the Service does not have',
    (s) => env(s, 'URL', 'http://web.a.svc:8080'),
    "has 'web.a.svc:8080', but Service a/web has the ports 80",
  ],
  [
    'the address of no Service in a file',
    (s) => (s.configMap.data.mode = 'url: http://shop.a.svc\n'),
    "ConfigMap a/files: data.mode has 'shop.a.svc'",
  ],
  [
    'the address of no Service in an argument',
    (s) => (container(s).args = ['--url=http://shop.a.svc']),
    "args[0] has 'shop.a.svc'",
  ],
  [
    'an address that MLflow does not know',
    (s) => mlflow(s, 'localhost,mlflow.a.svc'),
    "has 'mlflow.a.svc:80', which MLflow would answer with 403",
    'MLFLOW_SERVER_ALLOWED_HOSTS',
  ],
];

const METRICS: Defect[] = [
  [
    'an alert on no metric',
    (s) => (rule(s).expr = 'web_crashes_total > 1'),
    'PrometheusRule a/web: WebDown',
    "asks for 'web_crashes_total', which no component is known to emit",
  ],
  [
    'an alert that is no PromQL',
    (s) => (rule(s).expr = 'sum(up'),
    "PrometheusRule a/web: WebDown: 'sum(up' is not PromQL",
  ],
  [
    'an alert of wrong types',
    (s) => (rule(s).expr = 'rate(up)'),
    "'rate(up)' is not PromQL: ",
    'takes a range',
  ],
  [
    'a recording of no metric',
    (s) => rules(s).push({ record: 'web:crashes', expr: 'web_crashes' }),
    'PrometheusRule a/web: web:crashes',
    "asks for 'web_crashes'",
  ],
  [
    'a panel of no metric',
    (s) => dashboard(s, { panels: [panel('web_crashes')] }),
    "ConfigMap a/dashboard-web: panel 'Crashes'",
    "asks for 'web_crashes'",
  ],
  [
    'a panel of no PromQL',
    (s) => dashboard(s, { panels: [panel('up{')] }),
    "panel 'Crashes': 'up{' is not PromQL",
  ],
  [
    'a panel of no metric in a closed row',
    (s) => dashboard(s, { panels: [{ title: 'Row', panels: [panel('web_crashes')] }] }),
    "panel 'Crashes': asks for 'web_crashes'",
  ],
  [
    'a variable of no metric',
    (s) =>
      dashboard(s, {
        panels: [],
        templating: { list: [{ name: 'model', definition: 'label_values(web_models, model)' }] },
      }),
    "ConfigMap a/dashboard-web: variable 'model': asks for 'web_models'",
  ],
];

const CONTENT: Defect[] = [
  ...['web', 'example.org/web', 'localhost:5000/web', 'example.org:443/a/web'].map((image): Defect => [
    `the image ${image}`,
    (s) => (container(s).image = image),
    'Deployment a/web',
    `image '${image}' has no tag; pin one in lib/kubernetes/images.ts`,
  ]),
  ...['web:latest', 'web:main', 'example.org/web:nightly', 'web:LATEST', 'web:latest-gpu', 'web:1-dev'].map(
    (image): Defect => [
      `the image ${image}`,
      (s) => (container(s).image = image),
      `Deployment a/web: image '${image}' moves`,
    ],
  ),
  [
    'the untagged image of an init container',
    (s) => (s.pod.initContainers = [{ ...container(s), image: 'busybox' }]),
    "image 'busybox' has no tag",
  ],
  [
    'the untagged image of a Prometheus',
    (s) => s.all.push(prometheus({ image: 'prometheus' })),
    "Prometheus a/main: image 'prometheus' has no tag",
  ],
  ...['DB_PASSWORD', 'API_TOKEN', 'AWS_SECRET_ACCESS_KEY', 'FERNET', 'MYSQL_PWD', 'GPG_PASSPHRASE'].map(
    (name): Defect => [
      `the variable ${name}`,
      (s) => env(s, name, 'hunter2'),
      `Deployment a/web: ${name} has the name of a secret, and its value is in plain text`,
    ],
  ),
  [
    'a password with a variable in it',
    (s) => env(s, 'DB_PASSWORD', 'hunter2$(MODE)'),
    'DB_PASSWORD has the name of a secret',
  ],
  [
    'a URL with a password',
    (s) => env(s, 'URL', 'postgres://me:hunter2@db.example.com/x'),
    'env[2].value looks like a URL with a password',
  ],
  [
    'a URL with a password and no user',
    (s) => env(s, 'URL', 'redis://:hunter2@db.example.com'),
    'looks like a URL with a password',
  ],
  [
    'a URL with a password behind a variable',
    (s) => env(s, 'URL', 'http://$(USER):hunter2@db.example.com'),
    'looks like a URL with a password',
  ],
  [
    'a password among arguments',
    (s) => (container(s).args = ['--db-password=hunter2']),
    'args[0] looks like a password among arguments',
  ],
  [
    'a private key in a file',
    (s) => (s.configMap.data.mode = '-----BEGIN RSA PRIVATE KEY-----\nMII'),
    'ConfigMap a/files: data.mode looks like a private key',
  ],
  [
    'an AWS key in a file',
    (s) => (s.configMap.data.mode = 'key: AKIAIOSFODNN7EXAMPLE'),
    'data.mode looks like an AWS access key',
  ],
  [
    'a GitHub token in an argument',
    (s) => (container(s).args = [`ghp_${'a'.repeat(36)}`]),
    'looks like a GitHub token',
  ],
  ['a Hugging Face token', (s) => env(s, 'HF', `hf_${'a'.repeat(34)}`), 'looks like an access token'],
  [
    'a JSON web token',
    (s) => env(s, 'JWT', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjMifQ.abc'),
    'looks like a JSON web token',
  ],
  [
    'a Secret',
    (s) => s.all.push({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'x', namespace: 'a' } }),
    'Secret a/x: a Secret must not stand in dist',
  ],
  [
    'two objects of one name',
    (s) => s.all.push(structuredClone(s.role)),
    'Role a/web: the name is taken by another Role',
  ],
  [
    'two names that differ by case',
    (s) => s.all.push({ ...s.role, metadata: { name: 'WEB', namespace: 'a' } }),
    'Role a/WEB: the name is taken by another Role',
  ],
  [
    'a ConfigMap that apply cannot take',
    (s) => (s.configMap.data.mode = 'x'.repeat(262_144)),
    'ConfigMap a/files: has 26',
    'takes fewer than 262144',
  ],
  [
    'a ConfigMap that apply cannot take as kubectl writes it',
    (s) => (s.configMap.data.mode = '<'.repeat(50_000)),
    'ConfigMap a/files: has 30',
    'takes fewer than 262144',
  ],
  [
    'a ConfigMap that apply cannot take in bytes',
    (s) => (s.configMap.data.mode = '크'.repeat(90_000)),
    'ConfigMap a/files: has 27',
  ],
];

const DEFECTS = { SERVICES, MONITORS, REFERENCES, ADDRESSES, METRICS, CONTENT };

describe.each(Object.entries(DEFECTS))('%s: the validation finds', (_, defects) => {
  test.each<Defect>(defects)('%s', (_planted, plant, says, alsoSays = says) => {
    const shop = cleanShop();
    plant(shop);
    const violations = check(shop).join('\n');
    expect(violations).toContain(says);
    expect(violations).toContain(alsoSays);
  });
});

describe('the validation lets pass', () => {
  test('what has nothing wrong in it', () => {
    expect(check(cleanShop())).toEqual([]);
  });

  test.each<[string, (shop: Shop) => void]>([
    ['an image on a registry with a port', (s) => (container(s).image = 'localhost:5000/web:1.0.0')],
    ['an image with a digest', (s) => (container(s).image = `web:1.0.0@sha256:${'a'.repeat(64)}`)],
    ['a target port by its number', (s) => (port(s.service).targetPort = 8080)],
    ['an Ingress to a port by its number', (s) => (backend(s).port = { number: 80 })],
    ['a password that is another variable', (s) => env(s, 'DB_PASSWORD', '$(PASSWORD)')],
    ['a URL whose password is a variable', (s) => env(s, 'URL', 'http://$(USER):$(PASSWORD)@web.a.svc:80/x')],
    ['a URL with an address in its path', (s) => env(s, 'URL', 'https://example.com:443/a:b@c')],
    ["a shell's own variable as an argument", (s) => (container(s).args = ['--password "$PASSWORD"'])],
    ['the API server', (s) => env(s, 'URL', 'https://kubernetes.default.svc:443')],
    ['a NetworkPolicy around every pod', (s) => (s.networkPolicy.spec.podSelector = {})],
    ['a metric that a rule records', (s) => rules(s).push(...RECORDED)],
    ['an address that MLflow knows', (s) => mlflow(s, 'localhost,mlflow.a.svc:80')],
    ['a Secret that the owner puts where it is needed', (s) => (secretOf(s).name = 'external')],
  ])('%s', (_, change) => {
    const shop = cleanShop();
    change(shop);
    expect(check(shop)).toEqual([]);
  });
});

describe('of a whole environment, the validation finds', () => {
  const laptop = [...render('laptop', defineEnvironment({}), [trip('')]).values()].flat() as Json[];
  const broken = (plant: (find: (kind: string, name: string) => Json) => void) => {
    const manifests = structuredClone(laptop);
    const find = (kind: string, name: string) =>
      manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name)!;
    plant(find);
    return violationsOf(manifests, new Set());
  };

  test.each<[string, (find: (kind: string, name: string) => Json) => void, string]>([
    [
      'a Service renamed',
      (find) => (find('Service', 'triton').metadata.name = 'inference'),
      "no Service 'triton' in mlops-platform",
    ],
    [
      'a port moved',
      (find) => (find('Service', 'mlflow').spec.ports[0].port = 80),
      'but Service mlops-platform/mlflow has the ports 80',
    ],
    [
      'a label lost',
      (find) => (find('Deployment', 'triton').spec.template.metadata.labels = {}),
      'Service mlops-platform/triton: selects no pod',
    ],
    [
      'an account renamed',
      (find) => (find('ServiceAccount', 'airflow-scheduler').metadata.name = 'x'),
      "runs as ServiceAccount 'airflow-scheduler'",
    ],
    [
      'a script renamed',
      (find) => (find('ConfigMap', 'postgres-provision').metadata.name = 'x'),
      "mounts ConfigMap 'postgres-provision'",
    ],
    [
      'a namespace forgotten',
      (find) => (find('Namespace', 'mlops-steps').metadata.name = 'x'),
      "is in namespace 'mlops-steps', which does not exist",
    ],
  ])('%s', (_, plant, says) => {
    expect(broken(plant).join('\n')).toContain(says);
  });

  test.each<[string, string, string]>([
    [
      'a password in a model',
      'URL = "https://me:hunter2@example.com"',
      'data.model.py looks like a URL with a password',
    ],
    [
      'a dead address in a model',
      'URL = "http://shop.mlops-platform.svc"',
      "no Service 'shop' in mlops-platform",
    ],
    ['a model that apply cannot take', '#'.repeat(262_144), 'and kubectl apply takes fewer than 262144'],
  ])('%s', (_, model, says) => {
    const message = messageOf(() => render('laptop', defineEnvironment({}), [trip(model)]));
    expect(message).toContain(says);
    expect(message).toContain(
      "environment 'laptop' is wired wrongly:\n  - ConfigMap mlops-steps/pipeline-trip: ",
    );
  });
});

const RECORDED = [
  { record: 'web:up', expr: 'up' },
  { alert: 'WebGone', expr: 'web:up == 0' },
];

/** One valid object of each kind that the validation looks at; `all` has all of them, for the validation. */
function cleanShop() {
  const labels = { app: 'web' };
  const metadata = { name: 'web', namespace: 'a', labels };
  const pod: Json = {
    serviceAccountName: 'web',
    containers: [
      {
        name: 'web',
        image: 'example.org/web:1.0.0',
        ports: [{ name: 'http', containerPort: 8080 }],
        env: [
          { name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 'login', key: 'password' } } },
          { name: 'MODE', valueFrom: { configMapKeyRef: { name: 'files', key: 'mode' } } },
        ],
        volumeMounts: [{ name: 'files', mountPath: '/files' }],
      },
    ],
    volumes: [
      { name: 'files', configMap: { name: 'files' } },
      { name: 'data', persistentVolumeClaim: { claimName: 'data' } },
    ],
  };
  const named = {
    service: {
      kind: 'Service',
      metadata,
      spec: { selector: labels, ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
    },
    ingress: {
      kind: 'Ingress',
      metadata,
      spec: {
        rules: [{ http: { paths: [{ backend: { service: { name: 'web', port: { name: 'http' } } } }] } }],
      },
    },
    serviceMonitor: {
      kind: 'ServiceMonitor',
      metadata,
      spec: { selector: { matchLabels: labels }, endpoints: [{ port: 'http' }] },
    },
    podMonitor: {
      kind: 'PodMonitor',
      metadata,
      spec: { selector: { matchLabels: labels }, podMetricsEndpoints: [{ port: 'http' }] },
    },
    configMap: { kind: 'ConfigMap', metadata: { name: 'files', namespace: 'a' }, data: { mode: 'fast' } },
    claim: { kind: 'PersistentVolumeClaim', metadata: { name: 'data', namespace: 'a' } },
    role: { kind: 'Role', metadata },
    binding: {
      kind: 'RoleBinding',
      metadata,
      roleRef: { kind: 'Role', name: 'web' },
      subjects: [{ kind: 'ServiceAccount', name: 'web', namespace: 'a' }],
    },
    networkPolicy: { kind: 'NetworkPolicy', metadata, spec: { podSelector: { matchLabels: labels } } },
    rules: {
      kind: 'PrometheusRule',
      metadata,
      spec: { groups: [{ rules: [{ alert: 'WebDown', expr: 'up == 0' }] }] },
    },
  } satisfies Record<string, Json>;
  const others: Json[] = [
    { kind: 'Namespace', metadata: { name: 'a' } },
    { kind: 'Namespace', metadata: { name: 'b' } },
    { kind: 'ServiceAccount', metadata },
    { kind: 'Deployment', metadata, spec: { template: { metadata: { labels }, spec: pod } } },
  ];
  const shop: Record<keyof typeof named, Json> & { pod: Json; all: Json[] } = structuredClone({
    ...named,
    pod,
    all: [...others, ...Object.values(named)],
  });
  // Metadata is shared above and must not be in the copy.
  for (const manifest of shop.all) manifest.metadata = structuredClone(manifest.metadata);
  return shop;
}

type Shop = ReturnType<typeof cleanShop>;

function check(shop: Shop): string[] {
  return violationsOf(shop.all, new Set(['up']));
}

function violationsOf(manifests: Json[], metrics: ReadonlySet<string>): string[] {
  const keys = ['username', 'password'];
  const secrets = [
    { namespace: 'a', name: 'login', keys },
    { namespace: 'b', name: 'elsewhere', keys },
    { name: 'external', keys },
  ];
  try {
    validate(manifests as Manifest[], { subject: 'test', secrets, metrics });
    return [];
  } catch (error) {
    return [...(error as { problems: string[] }).problems];
  }
}

function messageOf(fails: () => unknown): string {
  try {
    fails();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('it was accepted');
}

function container(shop: Shop): Json {
  return shop.pod.containers[0];
}

function secretOf(shop: Shop): Json {
  return container(shop).env[0].valueFrom.secretKeyRef;
}

function env(shop: Shop, name: string, value: string): void {
  container(shop).env.push({ name, value });
}

function port(service: Json): Json {
  return service.spec.ports[0];
}

function backend(shop: Shop): Json {
  return shop.ingress.spec.rules[0].http.paths[0].backend.service;
}

function rules(shop: Shop): Json[] {
  return shop.rules.spec.groups[0].rules;
}

function rule(shop: Shop): Json {
  return rules(shop)[0]!;
}

function panel(expr: string): Json {
  return { title: 'Crashes', targets: [{ expr }] };
}

function dashboard(shop: Shop, json: Json): void {
  const data = { 'web.json': JSON.stringify(json) };
  shop.all.push({ kind: 'ConfigMap', metadata: { name: 'dashboard-web', namespace: 'a' }, data });
}

/** Adds a Service named mlflow, a client of it, and the hosts that MLflow allows. */
function mlflow(shop: Shop, allowed: string): void {
  shop.all.push({ ...shop.service, metadata: { name: 'mlflow', namespace: 'a' } });
  env(shop, 'MLFLOW_SERVER_ALLOWED_HOSTS', `${allowed}`);
  shop.configMap.data.mode = 'http://mlflow.a.svc:80/api';
}

function cronJob(pod: Json): Json {
  return {
    kind: 'CronJob',
    metadata: { name: 'night', namespace: 'a' },
    spec: { jobTemplate: { spec: { template: { spec: pod } } } },
  };
}

function prometheus(spec: Json): Json {
  return {
    kind: 'Prometheus',
    metadata: { name: 'main', namespace: 'a' },
    spec: { image: 'prometheus:v3', ...spec },
  };
}

function trip(model: string) {
  return { model, definition: definePipeline(TRIP) };
}
