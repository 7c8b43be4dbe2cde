import { ApiObject, App } from 'cdk8s';
import type { k8s } from 'cdk8s-plus-28';
import {
  Accelerator,
  Database,
  DefinitionError,
  defineEnvironment,
  definePipeline,
  ObjectStore,
  SecretRef,
} from '../lib';
import { type Pod, podsOf } from '../lib/validation/manifests';
import { type Connection, outsideEndpoint } from '../lib/kubernetes/connection';
import { NetworkPolicy } from '../lib/kubernetes/network-policy';
import { NodeAgent } from '../lib/kubernetes/node-agent';
import { Ingress, type IngressSettings, ingressUrl } from '../lib/kubernetes/ingress';
import { until, waitContainer } from '../lib/kubernetes/pod-defaults';
import { ManifestFile } from '../lib/kubernetes/manifest-file';
import { PersistentVolumeClaim, ConfigFiles, emptyDir } from '../lib/kubernetes/volume';
import { Workload } from '../lib/kubernetes/workload';
import type { WorkloadProps } from '../lib/kubernetes/workload-props';
import type { IDatabase } from '../lib/foundation/database';
import { MinIO } from '../lib/foundation/minio';
import type { IObjectStore } from '../lib/foundation/object-store';
import { Postgres } from '../lib/foundation/postgres';
import { Secrets } from '../lib/foundation/secrets';
import { NodeExporter } from '../lib/monitoring/node-exporter';
import { OwnMonitoring } from '../lib/monitoring/own-monitoring';
import { Observability } from '../lib/observability/observability';
import { Pipeline } from '../lib/pipeline/pipeline';
import { Triton } from '../lib/serving/triton';
import { render } from '../lib/synth/render';
import { MLflow } from '../lib/training/mlflow';
import { Airflow } from '../lib/workflow/airflow';
import { TRIP } from './support/trip';

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a rendered object has a shape of its own
type Json = { [key: string]: any };

const GPU = 'nvidia.com/gpu';

describe('Workload', () => {
  test('needs a name, an image, a user and its resources, and by default has nothing else', () => {
    const { find, objects } = build((scope) => web(scope));
    const { spec } = find('Deployment', 'web');
    expect(objects.map(({ kind }) => kind).sort()).toEqual(['Deployment', 'NetworkPolicy', 'ServiceAccount']);
    expect(spec).toMatchObject({ replicas: 1, strategy: { type: 'RollingUpdate' } });
    expect(spec.template.metadata.labels).toEqual(spec.selector.matchLabels);
    expect(spec.template.spec).toMatchObject({
      serviceAccountName: 'web',
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 30,
    });
    for (const absent of ['runtimeClassName', 'tolerations', 'initContainers', 'volumes', 'nodeSelector']) {
      expect(spec.template.spec).not.toHaveProperty(absent);
    }
  });

  test('takes everything a pod may need', () => {
    const { find } = build((scope) => web(scope, EVERYTHING));
    const { spec } = find('StatefulSet', 'web').spec.template;
    const [container] = spec.containers;
    expect(container).toMatchObject({
      name: 'server',
      command: ['serve'],
      args: ['--fast'],
      env: [
        { name: 'MODE', value: 'fast' },
        { name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 'login', key: 'password' } } },
        { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
      ],
      ports: [{ name: 'http', containerPort: 8080 }],
      volumeMounts: [{ name: 'tmp', mountPath: '/tmp' }],
      readinessProbe: { exec: { command: ['true'] } },
    });
    expect(spec.initContainers).toMatchObject([{ name: 'migrate', args: ['up'], env: container.env }]);
    expect(spec.volumes).toEqual([{ name: 'tmp', emptyDir: { sizeLimit: '1Gi' } }]);
    expect(spec.terminationGracePeriodSeconds).toBe(60);
    expect(find('Service', 'web').spec.ports).toEqual([{ name: 'http', port: 8080, targetPort: 'http' }]);
    expect(find('Service', 'web').spec.selector).toEqual(
      find('StatefulSet', 'web').spec.selector.matchLabels,
    );
  });

  test('runs as a user without rights, on a file system that nobody writes to', () => {
    const pod = podSpec(build((scope) => web(scope, EVERYTHING)).find('StatefulSet', 'web'));
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 1000, fsGroup: 1000 });
    for (const { securityContext } of [...pod.containers, ...pod.initContainers]) {
      expect(securityContext).toEqual(RESTRICTED);
    }
  });

  test('asks for a GPU and for its runtime class, both or neither', () => {
    const { find } = build((scope) =>
      web(scope, { accelerator: Accelerator.nvidia(), strategy: 'Recreate' }),
    );
    const { strategy, template } = find('Deployment', 'web').spec;
    expect(template.spec.containers[0].resources).toMatchObject({
      limits: { [GPU]: 1 },
      requests: { [GPU]: 1 },
    });
    expect(template.spec).toMatchObject({ runtimeClassName: 'nvidia', tolerations: [{ key: GPU }] });
    expect(strategy).toEqual({ type: 'Recreate' });

    const without = build((scope) => web(scope, { accelerator: Accelerator.none() }));
    expect(podSpec(without.find('Deployment', 'web'))).not.toHaveProperty('runtimeClassName');
    expect(JSON.stringify(without.objects)).not.toContain('nvidia');
  });

  test('writes amounts as the API server stores them', () => {
    const { find } = build((scope) =>
      web(scope, {
        cpu: { request: '1000m', limit: '2500m' },
        memory: { request: '1024Mi', limit: '1048576Mi' },
      }),
    );
    expect(podSpec(find('Deployment', 'web')).containers[0].resources).toEqual({
      requests: { cpu: '1', memory: '1Gi' },
      limits: { cpu: '2500m', memory: '1Ti' },
    });
  });

  test('has a memory limit equal to its request, and no CPU limit, by default', () => {
    const { find } = build((scope) => web(scope));
    expect(podSpec(find('Deployment', 'web')).containers[0].resources).toEqual({
      requests: { cpu: '100m', memory: '64Mi' },
      limits: { memory: '64Mi' },
    });
  });

  test('has a PodDisruptionBudget and spreads over nodes where it has more than one replica', () => {
    const { find } = build((scope) => web(scope, { replicas: 2 }));
    const { selector, replicas } = find('Deployment', 'web').spec;
    expect(replicas).toBe(2);
    expect(find('PodDisruptionBudget', 'web').spec).toEqual({ maxUnavailable: 1, selector });
    expect(podSpec(find('Deployment', 'web')).topologySpreadConstraints).toMatchObject([
      { topologyKey: 'kubernetes.io/hostname', labelSelector: selector },
    ]);
    const alone = build((scope) => web(scope));
    expect(alone.objects.map(({ kind }) => kind)).not.toContain('PodDisruptionBudget');
    expect(podSpec(alone.find('Deployment', 'web'))).not.toHaveProperty('topologySpreadConstraints');
  });

  test('as a Job has another name where its content differs, and only then', () => {
    const nameOf = (props: Partial<WorkloadProps>) =>
      build((scope) => web(scope, { kind: 'Job', ...props })).objects.find(({ kind }) => kind === 'Job')!
        .metadata.name;
    const withFile = (content: string) =>
      build((scope) => {
        const files = new ConfigFiles(scope, 'files', { name: 'files', files: { 'run.sh': content } });
        web(scope, { kind: 'Job', mounts: [files.mountAt('/files')] });
      }).objects.find(({ kind }) => kind === 'Job')!.metadata.name;

    expect(nameOf({})).toMatch(/^web-[0-9a-f]{12}$/);
    expect(nameOf({})).toBe(nameOf({}));
    expect(nameOf({})).not.toBe(nameOf({ args: ['again'] }));
    expect(nameOf({})).not.toBe(nameOf({ image: 'example.org/web:1.0.1' }));
    expect(withFile('a')).toBe(withFile('a'));
    expect(withFile('a')).not.toBe(withFile('b'));
  });

  test('is rolled out again where a file that it mounts has changed, and only then', () => {
    const annotationsWith = (content: string) =>
      build((scope) => {
        const files = new ConfigFiles(scope, 'files', { name: 'files', files: { a: content } });
        web(scope, { mounts: [files.mountAt('/files')] });
      }).find('Deployment', 'web').spec.template.metadata.annotations;
    expect(annotationsWith('a')).toEqual(annotationsWith('a'));
    expect(annotationsWith('a')).not.toEqual(annotationsWith('b'));
  });

  test('takes sidecars, each with its own image and wiring', () => {
    const { find } = build((scope) =>
      web(scope, {
        ports: { http: 80 },
        sidecars: [
          {
            name: 'beside',
            image: 'example.org/beside:1',
            cpu: { request: '10m' },
            memory: { request: '32Mi' },
            ports: { status: 81 },
            connections: [{ endpoint: outsideEndpoint('db.example', 5432), env: { A: 'b' } }],
          },
          {
            name: 'first',
            image: 'example.org/first:1',
            cpu: { request: '10m' },
            memory: { request: '32Mi' },
            startsFirst: true,
          },
        ],
      }),
    );
    const pod = podSpec(find('Deployment', 'web'));
    expect(pod.containers.map(({ name }: Json) => name)).toEqual(['server', 'beside']);
    expect(pod.containers[0]).not.toHaveProperty('env');
    expect(env(pod.containers[1])).toEqual({ A: 'b' });
    expect(pod.containers[1].securityContext).toEqual(RESTRICTED);
    expect(pod.initContainers).toMatchObject([{ name: 'first', restartPolicy: 'Always' }]);
    expect(portsOf(find('NetworkPolicy', 'web').spec.egress)).toEqual([53, 53, 5432]);
    expect(find('Service', 'web').spec.ports.map(({ port }: Json) => port)).toEqual([80, 81]);
  });

  test('is wired in one statement: variables, both NetworkPolicies, and a wait before its start', () => {
    const { find } = build((scope) => {
      const server = web(scope, { name: 'db', ports: { sql: 5432 } });
      web(scope, { name: 'client', system: 'client' }).uses(connectionTo(server));
    });
    const pod = podSpec(find('Deployment', 'client'));
    expect(pod.containers[0].env).toEqual([{ name: 'DB_HOST', value: 'db.mlops-platform.svc' }]);
    expect(pod.initContainers).toMatchObject([{ name: 'wait-for-db', securityContext: RESTRICTED }]);
    expect(pod.initContainers[0].command[2]).toContain("until nc db; do echo 'waiting for db'");
    expect(pod.volumes).toEqual([{ name: 'tmp', emptyDir: {} }]);
    expect(find('NetworkPolicy', 'client').spec.egress[1]).toMatchObject({
      to: [{ podSelector: { matchLabels: find('Deployment', 'db').spec.selector.matchLabels } }],
      ports: [{ port: 5432 }],
    });
    expect(find('NetworkPolicy', 'db').spec.ingress).toMatchObject([
      {
        from: [{ podSelector: { matchLabels: find('Deployment', 'client').spec.selector.matchLabels } }],
        ports: [{ port: 5432 }],
      },
    ]);
  });

  test('is not wired to two things that set the same variable', () => {
    build((scope) => {
      const [a, b] = ['a', 'b'].map((name) => web(scope, { name, ports: { sql: 5432 } }));
      const client = web(scope, { name: 'client' });
      expect(() => client.uses(connectionTo(a!), connectionTo(b!))).toThrow(
        'workload \'client\': is wired to two things that set the same environment variable, got "DB_HOST"',
      );
    });
  });

  test('has no endpoint without a port', () => {
    build((scope) => {
      const problem = 'workload \'web\': has the ports http, got "https"';
      expect(() => web(scope, { ports: { http: 80 } }).endpoint('https')).toThrow(problem);
      expect(() => web(scope, { name: 'b' }).endpoint('http')).toThrow('has the ports (none)');
    });
  });

  test('gets a token and a way to the Kubernetes API only where it has grants', () => {
    const rules = [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }];
    const { find } = build((scope) =>
      web(scope, { grants: [{ namespace: 'mlops-steps', rules }, { rules }] }),
    );
    expect(podSpec(find('Deployment', 'web')).automountServiceAccountToken).toBe(true);
    expect(find('Role', 'web')).toMatchObject({ metadata: { namespace: 'mlops-steps' }, rules });
    expect(find('ClusterRole', 'mlops-platform:web').rules).toEqual(rules);
    expect(find('ClusterRoleBinding', 'mlops-platform:web').subjects).toMatchObject([
      { kind: 'ServiceAccount', name: 'web', namespace: 'mlops-platform' },
    ]);
    expect(portsOf(find('NetworkPolicy', 'web').spec.egress)).toEqual([53, 53, 443, 6443]);
  });
});

describe('NetworkPolicy', () => {
  const networkPolicy = (scope: ManifestFile, name: string, pods = { app: name }) =>
    new NetworkPolicy(scope, name, { name, namespace: 'mlops-platform', pods });

  test('lets pods ask DNS, and nothing else, by default', () => {
    const { spec } = build((scope) => networkPolicy(scope, 'a')).find('NetworkPolicy', 'a');
    expect(spec.policyTypes).toEqual(['Egress', 'Ingress']);
    expect(spec).not.toHaveProperty('ingress');
    expect(portsOf(spec.egress)).toEqual([53, 53]);
  });

  test('opens an edge at both of its ends', () => {
    const { find } = build((scope) => networkPolicy(scope, 'a').allowTo(networkPolicy(scope, 'b'), 80));
    expect(find('NetworkPolicy', 'a').spec.egress[1].to[0].podSelector.matchLabels).toEqual({ app: 'b' });
    expect(find('NetworkPolicy', 'b').spec.ingress[0].from[0].podSelector.matchLabels).toEqual({ app: 'a' });
    expect(find('NetworkPolicy', 'b').spec.ingress[0].ports).toEqual([{ port: 80, protocol: 'TCP' }]);
  });

  test('is the same in whatever order its edges are opened', () => {
    const opened = (ports: number[]) =>
      build((scope) => {
        const [a, b, c] = [networkPolicy(scope, 'a'), networkPolicy(scope, 'b'), networkPolicy(scope, 'c')];
        for (const port of ports) (port % 2 ? b : c).allowTo(a, port);
        for (const port of ports) a.allowToOutside(port);
      }).find('NetworkPolicy', 'a').spec;
    expect(opened([1, 2, 3])).toEqual(opened([3, 2, 1, 3]));
  });

  test('opens to a namespace, to anywhere, and around every pod', () => {
    const { spec } = build((scope) => {
      const all = networkPolicy(scope, 'a', {} as { app: string });
      all.allowFromNamespace('kube-system', 80);
      all.allowFromAnywhere(443);
    }).find('NetworkPolicy', 'a');
    expect(spec.podSelector).toEqual({});
    expect(spec.ingress).toEqual([
      { ports: [{ port: 443, protocol: 'TCP' }] },
      {
        from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } } }],
        ports: [{ port: 80, protocol: 'TCP' }],
      },
    ]);
  });

  test('opens to every TCP port of namespaces with a label, but for some', () => {
    const { spec } = build((scope) =>
      networkPolicy(scope, 'a').allowToNamespacesLabelled('example.com/open', ['b', 'c']),
    ).find('NetworkPolicy', 'a');
    expect(spec.egress[1]).toEqual({
      to: [
        {
          namespaceSelector: {
            matchLabels: { 'example.com/open': 'true' },
            matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: ['b', 'c'] }],
          },
        },
      ],
      ports: [{ protocol: 'TCP' }],
    });
  });
});

describe('Accelerator', () => {
  test('adds nothing to a pod where there is none', () => {
    expect(Accelerator.none().forPod()).toEqual({ limits: {} });
    expect(Accelerator.none()).toMatchObject({ count: 0, present: false, runtimeClassName: undefined });
  });

  test('is one GPU of NVIDIA by default', () => {
    const { limits, ...pod } = Accelerator.nvidia().forPod();
    expect(limits[GPU]!.value).toBe(1);
    expect(pod).toMatchObject({ runtimeClassName: 'nvidia', nodeSelector: undefined });
  });

  test('takes a number, a runtime class and nodes, and keeps the last two in withCount', () => {
    const nodeSelector = { gpu: 'yes' };
    const accelerator = Accelerator.nvidia({ count: 2, runtimeClassName: 'gpu', nodeSelector }).withCount(3);
    expect(accelerator.forPod()).toMatchObject({ runtimeClassName: 'gpu', nodeSelector });
    expect(accelerator.forPod().limits[GPU]!.value).toBe(3);
    expect(accelerator.withCount(0).present).toBe(false);
  });

  test('lets an agent see every GPU without taking one', () => {
    expect(Accelerator.nvidia().forAgent()).not.toHaveProperty('limits');
  });
});

describe('PersistentVolumeClaim, ConfigFiles and Ingress', () => {
  test('a claim has the default storage class, and an amount as the API server stores it', () => {
    const { spec } = build(
      (scope) => new PersistentVolumeClaim(scope, 'claim', { name: 'data', size: '2048Mi' }),
    ).find('PersistentVolumeClaim', 'data');
    expect(spec).toEqual({ accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '2Gi' } } });
  });

  test('a claim takes a storage class', () => {
    const props = { name: 'data', size: '1Gi', storageClass: 'fast' } as const;
    const { made, find } = build((scope) => new PersistentVolumeClaim(scope, 'claim', props));
    expect(find('PersistentVolumeClaim', 'data').spec.storageClassName).toBe('fast');
    expect(made.mountAt('/data').volume.persistentVolumeClaim).toEqual({ claimName: 'data' });
  });

  test('files are read, never written', () => {
    const { made, find } = build(
      (scope) => new ConfigFiles(scope, 'files', { name: 'files', files: { a: 'b' }, labels: { l: 'm' } }),
    );
    expect(find('ConfigMap', 'files')).toMatchObject({ data: { a: 'b' }, metadata: { labels: { l: 'm' } } });
    expect(made.mountAt('/files')).toMatchObject({ path: '/files', readOnly: true });
    expect(made.mountAt('/files').volume.configMap).toEqual({ name: 'files' });
  });

  test('a file in a folder is in that folder for whoever mounts it', () => {
    const files = { 'a.py': '1', 'b/c.py': '2' };
    const { made, find } = build((stage) => new ConfigFiles(stage, 'files', { name: 'files', files }));
    expect(find('ConfigMap', 'files').data).toEqual({ 'a.py': '1', 'b.c.py': '2' });
    expect(made.mountAt('/files').volume.configMap?.items).toEqual([
      { key: 'a.py', path: 'a.py' },
      { key: 'b.c.py', path: 'b/c.py' },
    ]);
  });

  test('an Ingress opens its workload to the ingress controller alone', () => {
    const { made, find } = build((scope) => page(scope, PAGES));
    expect(made.host).toBe('web.ml.example');
    expect(find('Ingress', 'web').metadata.annotations).toEqual({
      'mlops-lifecycle/page-url': 'http://web.ml.example',
      'mlops-lifecycle/login-user': 'admin',
      'mlops-lifecycle/login-secret': 'login',
      'mlops-lifecycle/login-key': 'password',
    });
    expect(find('Ingress', 'web').spec).not.toHaveProperty('tls');
    expect(find('Ingress', 'web').spec.rules[0].http.paths[0].backend.service).toEqual({
      name: 'web',
      port: { name: 'http' },
    });
    expect(find('NetworkPolicy', 'web').spec.ingress).toMatchObject([
      {
        from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'ingress' } } }],
        ports: [{ port: 80 }],
      },
    ]);
    expect(ingressUrl('web', PAGES)).toBe('http://web.ml.example');
  });

  test('an Ingress takes a class, a certificate and a name of its own', () => {
    const props = { ...PAGES, ingressClass: 'nginx', tlsSecretName: 'tls' };
    const { find } = build((scope) => page(scope, props, 'shop'));
    expect(find('Ingress', 'shop').spec).toMatchObject({
      ingressClassName: 'nginx',
      tls: [{ hosts: ['shop.ml.example'], secretName: 'tls' }],
    });
    expect(ingressUrl('shop', props)).toBe('https://shop.ml.example');
  });

  test.each([
    [{ port: 8080 }, 'http://web.ml.example:8080'],
    [{ port: 80 }, 'http://web.ml.example'],
    [{ port: 443 }, 'http://web.ml.example:443'],
    [{ https: true }, 'https://web.ml.example'],
    [{ https: true, port: 8443 }, 'https://web.ml.example:8443'],
    [{ tlsSecretName: 'tls', port: 443 }, 'https://web.ml.example'],
    [{ tlsSecretName: 'tls', port: 8443 }, 'https://web.ml.example:8443'],
  ])('with %j the page’s URL is %s, and its host has no port', (settings, url) => {
    const { made, find } = build((scope) => page(scope, { ...PAGES, ...settings }));
    expect(find('Ingress', 'web').metadata.annotations).toMatchObject({ 'mlops-lifecycle/page-url': url });
    expect(made.host).toBe('web.ml.example');
  });

  function page(scope: ManifestFile, ingress: IngressSettings, name?: string) {
    const workload = web(scope, { ports: { http: 80 } });
    const login = { user: 'admin', password: LOGIN.key('password') };
    return new Ingress(scope, 'ingress', { ingress, workload, port: 'http', login, name });
  }
});

describe('Secrets', () => {
  test('are written as a plan for the cluster, without a value', () => {
    const { made, find, objects } = build((scope) => {
      const secrets = new Secrets(scope, 'secrets');
      secrets.generate('b', { key: 'fernet', name: { literal: 'admin' } });
      return {
        secrets,
        ref: secrets.generate('a', { password: 'password' }, ['mlops-platform', 'mlops-steps']),
      };
    });
    expect(objects.map(({ kind }) => kind)).not.toContain('Secret');
    expect(JSON.parse(find('ConfigMap', 'generate-secrets').data['plan.json']).secrets).toEqual([
      { name: 'a', namespaces: ['mlops-platform', 'mlops-steps'], keys: { password: 'password' } },
      { name: 'b', namespaces: ['mlops-platform'], keys: { key: 'fernet', name: { literal: 'admin' } } },
    ]);
    expect(made.ref.key('password').secret.name).toBe('a');
    expect(made.secrets.generated.map(({ namespace, name }) => `${namespace}/${name}`)).toEqual([
      'mlops-platform/b',
      'mlops-platform/a',
      'mlops-steps/a',
    ]);
  });

  test('are made by a Job that may read only the Secrets that it must copy', () => {
    const { objects } = build((scope) => {
      const secrets = new Secrets(scope, 'secrets');
      secrets.generate('own', { password: 'password' });
      secrets.generate('shared', { password: 'password' }, ['mlops-platform', 'mlops-steps']);
    });
    const rules = objects.filter(({ kind }) => kind === 'Role').flatMap((role) => role.rules as Json[]);
    expect(rules.filter(({ verbs }) => verbs.includes('get'))).toEqual([
      { apiGroups: [''], resources: ['secrets'], resourceNames: ['shared'], verbs: ['get'] },
    ]);
  });

  test('are made by another Job where one is added', () => {
    const jobWith = (names: string[]) =>
      build((scope) => {
        const secrets = new Secrets(scope, 'secrets');
        for (const name of names) secrets.generate(name, { password: 'password' });
      }).objects.find(({ kind }) => kind === 'Job')!.metadata.name;
    expect(jobWith(['a', 'b'])).toBe(jobWith(['b', 'a']));
    expect(jobWith(['a'])).not.toBe(jobWith(['a', 'b']));
  });

  test('are refused where two have the same name', () => {
    build((scope) => {
      const secrets = new Secrets(scope, 'secrets');
      secrets.generate('a', { password: 'password' });
      expect(() => secrets.generate('a', { password: 'password' })).toThrow(
        'secrets: already generates a Secret of this name, got "a"',
      );
    });
  });
});

describe('Database', () => {
  test('in the cluster is Postgres on a disk of 10Gi, a role and a wait for each client', () => {
    const { made, find } = build((scope) => {
      const database = Database.inCluster().bind(scope, shared(scope));
      web(scope).uses(database.client('shop'));
      return database;
    });
    expect(made).toBeInstanceOf(Postgres);
    expect(find('PersistentVolumeClaim', 'postgres-data').spec.resources.requests.storage).toBe('10Gi');
    expect(find('StatefulSet', 'postgres').spec.replicas).toBe(1);
    expect(podSpec(find('Deployment', 'web')).initContainers[0]).toMatchObject({ name: 'wait-for-postgres' });
    expect(env(podSpec(find('Deployment', 'web')).containers[0])).toMatchObject({
      PGHOST: 'postgres.mlops-platform.svc',
      PGUSER: 'shop',
      PGPASSWORD: { name: 'postgres-shop', key: 'password' },
    });
  });

  test('in the cluster takes a size and a storage class', () => {
    const { find } = build((scope) =>
      Database.inCluster({ storage: '1Ti' }).bind(scope, { ...shared(scope), storageClass: 'fast' }),
    );
    expect(find('PersistentVolumeClaim', 'postgres-data').spec).toMatchObject({
      storageClassName: 'fast',
      resources: { requests: { storage: '1Ti' } },
    });
  });

  test('outside the cluster makes no object, and refers to the declared Secret', () => {
    const { find, objects } = build((scope) => {
      const database = Database.external({ host: 'db.example', port: 6432, credentials: { shop: LOGIN } });
      expect(database.externalSecrets).toEqual([LOGIN]);
      web(scope).uses(database.bind(scope, shared(scope)).client('shop'));
    });
    expect(JSON.stringify(objects)).not.toMatch(/"name":"postgres/);
    expect(env(podSpec(find('Deployment', 'web')).containers[0])).toEqual({
      PGHOST: 'db.example',
      PGPORT: '6432',
      PGDATABASE: { name: 'login', key: 'database' },
      PGUSER: { name: 'login', key: 'username' },
      PGPASSWORD: { name: 'login', key: 'password' },
    });
    const [wait] = podSpec(find('Deployment', 'web')).initContainers;
    expect(wait).toMatchObject({
      name: 'wait-for-postgres',
      image: podSpec(find('Deployment', 'web')).containers[0].image,
      command: ['python', '-c', expect.stringContaining('import psycopg2')],
    });
    expect(env(wait)).toMatchObject({ PGHOST: 'db.example', PGPORT: '6432' });
    expect(portsOf(find('NetworkPolicy', 'web').spec.egress)).toEqual([53, 53, 6432]);
  });
});

describe('ObjectStore', () => {
  test('in the cluster is MinIO on a disk of 50Gi, a key and a policy for each client', () => {
    const { made, find, objects } = build((scope) => {
      const store = ObjectStore.inCluster().bind(scope, shared(scope));
      web(scope).uses(store.client({ name: 'shop', buckets: { data: 'read' } }));
      return store;
    });
    expect(made).toBeInstanceOf(MinIO);
    expect(made.bucket('data')).toBe('data');
    expect(find('PersistentVolumeClaim', 'minio-data').spec.resources.requests.storage).toBe('50Gi');
    expect(env(podSpec(find('Deployment', 'web')).containers[0])).toMatchObject({
      AWS_ENDPOINT_URL_S3: 'http://minio.mlops-platform.svc:9000',
      AWS_SECRET_ACCESS_KEY: { name: 'minio-shop', key: 'secret-key' },
    });
    const policy = find('ConfigMap', 'minio-provision').data['shop.json'];
    expect(policy).toContain('s3:GetObject');
    expect(policy).not.toContain('s3:PutObject');
    const job = objects.find(
      ({ kind, metadata }) => kind === 'Job' && metadata.name.startsWith('minio-provision'),
    )!;
    expect(env(podSpec(job).containers[0])).toMatchObject({
      SECRET_KEY_shop: { name: 'minio-shop', key: 'secret-key' },
    });
  });

  test.each([
    [{}, undefined],
    [{ port: 8080 }, undefined],
    [{ https: true, port: 8443 }, 'https://minio.ml.example:8443'],
    [{ tlsSecretName: 'tls' }, 'https://minio.ml.example'],
  ])(
    'in the cluster shares links to the browser’s address, but with https to the page’s URL: %j',
    (settings, url) => {
      const { find } = build((scope) => {
        return ObjectStore.inCluster().bind(scope, { ...shared(scope), ingress: { ...PAGES, ...settings } });
      });
      const server = env(podSpec(find('StatefulSet', 'minio')).containers[0]);
      expect(server.MINIO_BROWSER_REDIRECT_URL).toBe(url);
    },
  );

  test('outside the cluster makes no object, and refers to the declared Secret', () => {
    const { find, objects } = build((scope) => {
      const store = ObjectStore.external({
        endpoint: 'https://s3.example',
        region: 'eu-central-1',
        bucketPrefix: 'acme-',
        credentials: { shop: KEY },
      }).bind(scope, shared(scope));
      expect(store.bucket('models')).toBe('acme-models');
      web(scope).uses(store.client({ name: 'shop', buckets: { data: 'write', models: 'read' } }));
    });
    expect(JSON.stringify(objects)).not.toMatch(/"name":"minio/);
    const pod = podSpec(find('Deployment', 'web'));
    expect(env(pod.containers[0])).toEqual({
      AWS_ACCESS_KEY_ID: { name: 'key', key: 'access-key' },
      AWS_SECRET_ACCESS_KEY: { name: 'key', key: 'secret-key' },
      AWS_DEFAULT_REGION: 'eu-central-1',
      AWS_ENDPOINT_URL_S3: 'https://s3.example:443',
    });
    // In the program's own image, with boto3, which it has for its objects: MinIO's client gates nothing.
    expect(pod.initContainers[0]).toMatchObject({
      name: 'wait-for-object-store',
      image: pod.containers[0].image,
      command: ['python', '-c', expect.stringContaining('import boto3'), 'acme-data', 'acme-models'],
    });
    expect(env(pod.initContainers[0])).toEqual(env(pod.containers[0]));
    expect(portsOf(find('NetworkPolicy', 'web').spec.egress)).toEqual([53, 53, 443]);
  });

  test('is in us-east-1, without a prefix, by default', () => {
    build((scope) => {
      const props = { endpoint: 'http://s3.example:9000', credentials: { shop: KEY } };
      const store = ObjectStore.external(props).bind(scope, shared(scope));
      const { env } = store.client({ name: 'shop', buckets: {} });
      expect(store.bucket('data')).toBe('data');
      expect(env).toMatchObject({
        AWS_DEFAULT_REGION: 'us-east-1',
        AWS_ENDPOINT_URL_S3: 'http://s3.example:9000',
      });
    });
  });
});

describe('Airflow', () => {
  test('is one replica of each component, and eight tasks at a time, by default', () => {
    const { find } = inModule((app, shared) => new Airflow(app, 'airflow', shared));
    for (const component of ['api-server', 'scheduler', 'dag-processor', 'triggerer']) {
      const deployment = find('Deployment', `airflow-${component}`);
      expect(deployment.spec.replicas).toBe(1);
      expect(env(podSpec(deployment).containers[0])).toMatchObject({
        AIRFLOW__CORE__PARALLELISM: '8',
        AIRFLOW__CORE__FERNET_KEY: { name: 'airflow', key: 'fernet-key' },
        AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER: 's3://acme-airflow-logs/logs',
        PGHOST: 'db.example',
      });
    }
    expect(find('Deployment', 'airflow-scheduler').spec.strategy).toEqual({ type: 'Recreate' });
  });

  test('redirects to the address that the browser used, and links to the page’s URL', () => {
    const ingress = { ...PAGES, https: true, port: 8443 };
    const { find } = inModule((app, shared) => new Airflow(app, 'airflow', { ...shared, ingress }));
    const [apiServer] = podSpec(find('Deployment', 'airflow-api-server')).containers;
    expect(apiServer.args).toEqual(['api-server', '--proxy-headers']);
    expect(env(apiServer)).toMatchObject({ AIRFLOW__API__BASE_URL: '/', FORWARDED_ALLOW_IPS: '*' });
    for (const component of ['scheduler', 'dag-processor', 'triggerer']) {
      expect(env(podSpec(find('Deployment', `airflow-${component}`)).containers[0])).toMatchObject({
        AIRFLOW__API__BASE_URL: 'https://airflow.ml.example:8443',
        AIRFLOW__CORE__EXECUTION_API_SERVER_URL:
          'http://airflow-api-server.mlops-platform.svc:8080/execution/',
        MLFLOW_PAGE_URL: 'https://mlflow.ml.example:8443',
      });
    }
  });

  test('takes more api-servers and more tasks', () => {
    const { find } = inModule((app, shared) => {
      return new Airflow(app, 'airflow', { ...shared, apiServerReplicas: 2, parallelism: 64 });
    });
    expect(find('PodDisruptionBudget', 'airflow-api-server').spec.maxUnavailable).toBe(1);
    expect(env(podSpec(find('Deployment', 'airflow-scheduler')).containers[0])).toMatchObject({
      AIRFLOW__CORE__PARALLELISM: '64',
    });
    expect(find('Deployment', 'airflow-scheduler').spec.replicas).toBe(1);
  });

  test('runs its steps with an account without rights', () => {
    const { made, find, objects } = inModule((app, shared) => {
      const airflow = new Airflow(app, 'airflow', shared);
      airflow.stepPods.uses({ endpoint: outsideEndpoint('s3.example', 9000), env: { A: 'b' } });
      return airflow.stepPods.spec({ name: 'trip', configMap: 'pipeline-trip' }).pod;
    });
    const container = made.spec.containers[0]!;
    expect(container.env).toEqual([
      { name: 'HOME', value: '/tmp' },
      { name: 'GIT_PYTHON_REFRESH', value: 'quiet' },
      { name: 'MLFLOW_PAGE_URL', value: 'http://mlflow.ml.example' },
      { name: 'A', value: 'b' },
    ]);
    expect(container.securityContext).toEqual(RESTRICTED);
    expect(made.spec).toMatchObject({ serviceAccountName: 'step', automountServiceAccountToken: false });
    expect(made.spec.securityContext).toMatchObject({ runAsNonRoot: true });
    expect(container.volumeMounts.map(({ mountPath }) => mountPath)).toEqual([
      '/code/lifecycle',
      '/launcher',
      '/environments',
      '/tmp',
      '/pipeline',
    ]);
    expect(find('PersistentVolumeClaim', 'step-environments').metadata.namespace).toBe('mlops-steps');
    expect(find('ServiceAccount', 'step').metadata.namespace).toBe('mlops-steps');
    const granted = objects.flatMap(({ subjects }) => (subjects ?? []) as Json[]).map(({ name }) => name);
    expect(granted).not.toContain('step');
    expect(portsOf(find('NetworkPolicy', 'steps').spec.egress)).toEqual([53, 53, 80, 443, 9000]);
  });
});

test('a built image for the steps needs no volume and installs nothing', () => {
  const { made, objects } = inModule((app, shared) => {
    const airflow = new Airflow(app, 'airflow', { ...shared, stepImage: 'example.org/steps:1' });
    return airflow.stepPods.spec().pod.spec.containers[0]!;
  });
  expect(made.image).toBe('example.org/steps:1');
  expect(made.command.join(' ')).toContain('--environments - ');
  expect(objects.map(({ metadata }) => metadata.name)).not.toContain('step-environments');
});

describe('MLflow', () => {
  test('is one server behind a login, with artifacts in the object store', () => {
    const { made, find } = inModule((app, shared) => new MLflow(app, 'mlflow', shared));
    expect(find('Deployment', 'mlflow').spec.replicas).toBe(1);
    expect(podSpec(find('Deployment', 'mlflow')).containers[0].args).toContain(
      '--default-artifact-root=s3://acme-mlflow/artifacts',
    );
    expect(made.client().env).toMatchObject({
      MLFLOW_TRACKING_URI: 'http://mlflow.mlops-platform.svc:5000',
      MLFLOW_TRACKING_PASSWORD: { key: 'password', secret: { name: 'mlflow-login' } },
    });
    expect(find('Ingress', 'mlflow').spec.rules[0].host).toBe('mlflow.ml.example');
  });

  test.each([
    ['http and https', {}, ['http', 'https']],
    ['http and https', { port: 8080 }, ['http', 'https']],
    ['https', { https: true }, ['https']],
    ['https', { tlsSecretName: 'tls', port: 8443 }, ['https']],
  ])('obeys its page at any port by %s with %j', (_, settings, schemes) => {
    const ingress = { ...PAGES, ...settings };
    const { find } = inModule((app, shared) => new MLflow(app, 'mlflow', { ...shared, ingress }));
    const server = env(podSpec(find('Deployment', 'mlflow')).containers[0]);
    const origins = server.MLFLOW_SERVER_CORS_ALLOWED_ORIGINS.split(',');
    expect(origins.filter((origin: string) => origin.includes('ml.example'))).toEqual(
      schemes.map((scheme) => `${scheme}://mlflow.ml.example`),
    );
    for (const host of ['mlflow[.]ml[.]example', 'mlflow[.]mlops-platform[.]svc[.]cluster[.]local']) {
      expect(origins.filter((origin: string) => origin.includes(`${host}:`))).toEqual(
        schemes.map((scheme) => `${scheme}://${host}:[0-9]*`),
      );
    }
    expect(server.MLFLOW_SERVER_ALLOWED_HOSTS.split(',')).toEqual(
      expect.arrayContaining([
        ...['mlflow.ml.example', 'mlflow.ml.example:*', 'localhost', 'localhost:*', '$(POD_IP):5000'],
        'mlflow.mlops-platform.svc.cluster.local',
        'mlflow.mlops-platform.svc.cluster.local:5000',
      ]),
    );
    expect(Object.keys(server).indexOf('POD_IP')).toBeLessThan(
      Object.keys(server).indexOf('MLFLOW_SERVER_ALLOWED_HOSTS'),
    );
  });

  test('takes more servers', () => {
    const { find } = inModule((app, shared) => new MLflow(app, 'mlflow', { ...shared, replicas: 2 }));
    expect(find('Deployment', 'mlflow').spec.replicas).toBe(2);
    expect(find('PodDisruptionBudget', 'mlflow').spec.maxUnavailable).toBe(1);
  });
});

describe('Triton', () => {
  test('computes on the CPU where there is no GPU, and is updated without a gap', () => {
    const { find, objects } = inModule((app, shared) => {
      return new Triton(app, 'triton', { ...shared, accelerator: Accelerator.none() });
    });
    expect(find('Deployment', 'triton').spec.strategy.type).toBe('RollingUpdate');
    expect(podSpec(find('Deployment', 'triton'))).not.toHaveProperty('runtimeClassName');
    expect(JSON.stringify(objects)).not.toContain(GPU);
  });

  test('runs on jemalloc, because with another allocator Triton breaks over traced requests', () => {
    const { find } = inModule((app, shared) => {
      return new Triton(app, 'triton', { ...shared, accelerator: Accelerator.none() });
    });
    const [server, sidecar] = podSpec(find('Deployment', 'triton')).containers;
    expect(env(server)).toMatchObject({ LD_PRELOAD: 'libjemalloc.so.2' });
    expect(env(sidecar)).not.toHaveProperty('LD_PRELOAD');
  });

  test('takes GPUs, and ends its old pods before the new ones start', () => {
    const { made, find } = inModule((app, shared) => {
      const accelerator = Accelerator.nvidia({ count: 2 });
      const resources = { cpu: { request: '2' }, memory: { request: '8Gi' } } as const;
      return new Triton(app, 'triton', { ...shared, accelerator, replicas: 3, ...resources });
    });
    const { replicas, strategy } = find('Deployment', 'triton').spec;
    const pod = podSpec(find('Deployment', 'triton'));
    expect({ replicas, strategy }).toEqual({ replicas: 3, strategy: { type: 'Recreate' } });
    expect(pod.runtimeClassName).toBe('nvidia');
    expect(pod.containers[0].resources.limits).toEqual({ memory: '8Gi', [GPU]: 2 });
    expect(made.client().env).toEqual({
      TRITON_HTTP_URL: 'triton.mlops-platform.svc:8000',
      TRITON_GRPC_URL: 'triton.mlops-platform.svc:8001',
      TRITON_REPLICAS: 'triton-replicas.mlops-platform.svc:9101',
    });
  });

  test('has a sidecar with the key of the object store, which the server does not get', () => {
    const { find } = inModule((app, shared) => {
      return new Triton(app, 'triton', { ...shared, accelerator: Accelerator.none() });
    });
    const [server, sidecar] = podSpec(find('Deployment', 'triton')).containers;
    expect(env(server)).not.toHaveProperty('AWS_ACCESS_KEY_ID');
    expect(env(sidecar)).toMatchObject({ AWS_ACCESS_KEY_ID: 'triton', MODELS_BUCKET: 'acme-models' });
    expect(server.volumeMounts).toContainEqual({ name: 'models', mountPath: '/models', readOnly: true });
    expect(find('Service', 'triton-replicas').spec.clusterIP).toBe('None');
    expect(find('ServiceMonitor', 'triton-models').spec.endpoints[0].relabelings).toEqual([
      { action: 'replace', targetLabel: 'job', replacement: 'triton-models' },
    ]);
    expect(portsOf(find('NetworkPolicy', 'triton').spec.egress)).toContain(443);
  });

  test('reaches no package index where its sidecar comes in a built image', () => {
    const { find } = inModule((app, shared) => {
      const objectStore = {
        ...shared.objectStore,
        client: () => ({ endpoint: outsideEndpoint('s3', 9000), env: {} }),
      };
      const props = { ...shared, objectStore, sidecarImage: 'example.org/steps:1' };
      return new Triton(app, 'triton', { ...props, accelerator: Accelerator.none() });
    });
    expect(podSpec(find('Deployment', 'triton')).containers[1].image).toBe('example.org/steps:1');
    expect(portsOf(find('NetworkPolicy', 'triton').spec.egress)).toEqual([53, 53, 9000]);
  });
});

describe('Monitoring', () => {
  test('keeps samples for 15 days on 10Gi, and watches no GPU where there is none', () => {
    const { find, objects } = inModule((app, shared) => {
      return new OwnMonitoring(app, 'monitoring', { ...shared, accelerator: Accelerator.none() });
    });
    const { spec } = find('Prometheus', 'prometheus');
    expect(spec.retention).toBe('15d');
    expect(spec.storage.volumeClaimTemplate.spec.resources.requests.storage).toBe('10Gi');
    expect(find('PersistentVolumeClaim', 'grafana-data').spec).not.toHaveProperty('storageClassName');
    expect(objects.map(({ metadata }) => metadata.name)).not.toContain('dcgm-exporter');
  });

  test('takes a retention, a size and a storage class, and watches GPUs', () => {
    const props = { retention: '30d', storage: '1Ti', storageClass: 'fast' } as const;
    const { find } = inModule((app, shared) => {
      return new OwnMonitoring(app, 'monitoring', { ...shared, ...props, accelerator: Accelerator.nvidia() });
    });
    const { spec } = find('Prometheus', 'prometheus');
    expect(spec.retention).toBe('30d');
    expect(spec.storage.volumeClaimTemplate.spec).toMatchObject({
      storageClassName: 'fast',
      resources: { requests: { storage: '1Ti' } },
    });
    expect(find('PersistentVolumeClaim', 'grafana-data').spec.storageClassName).toBe('fast');
    for (const agent of ['dcgm-exporter', 'nvidia-device-plugin']) {
      const pod = podSpec(find('DaemonSet', agent));
      expect(pod.runtimeClassName).toBe('nvidia');
      expect(JSON.stringify(pod.containers)).not.toContain(GPU);
    }
  });

  test.each([
    ['9100 by default', undefined, 9100],
    ['another that is set', NodeExporter.own({ port: 9101 }), 9101],
  ])('has node-exporter on a port of every node: %s', (_which, nodeExporter, port) => {
    const { find } = inModule((app, shared) => {
      return new OwnMonitoring(app, 'monitoring', {
        ...shared,
        nodeExporter,
        accelerator: Accelerator.none(),
      });
    });
    const { containers, hostNetwork } = podSpec(find('DaemonSet', 'node-exporter'));
    expect(hostNetwork).toBe(true);
    expect(containers[0].args).toContain(`--web.listen-address=:${port}`);
    expect(containers[0].ports).toEqual([
      { name: 'metrics', containerPort: port, hostPort: port, protocol: 'TCP' },
    ]);
    expect(find('PodMonitor', 'node-exporter').spec.podMetricsEndpoints[0].port).toBe('metrics');
    const { egress } = find('NetworkPolicy', 'prometheus').spec;
    const outside = egress.find(({ to }: Json) => to?.[0]?.ipBlock);
    expect(portsOf([outside])).toEqual([443, 6443, port]);
  });

  test('leaves out node-exporter with all that speaks of nodes, and takes no port of a node then', () => {
    const { find, objects } = inModule((app, shared) => {
      const nodeExporter = NodeExporter.none();
      return new OwnMonitoring(app, 'monitoring', {
        ...shared,
        nodeExporter,
        accelerator: Accelerator.nvidia(),
      });
    });
    const text = JSON.stringify(objects);
    for (const word of ['node-exporter', 'node_cpu', 'hostPort', 'hostNetwork'])
      expect(text).not.toContain(word);
    const named = objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
    expect(named).not.toContain('PrometheusRule/nodes');
    expect(named).not.toContain('ConfigMap/dashboard-mlops-nodes');
    expect(named).toContain('DaemonSet/dcgm-exporter');
    expect(portsOf(find('NetworkPolicy', 'prometheus').spec.egress)).not.toContain(9100);
  });

  test('takes monitors and rules of every namespace with one label, and ours are told from others’', () => {
    const { find } = inModule((app, shared) => {
      return new OwnMonitoring(app, 'monitoring', { ...shared, accelerator: Accelerator.none() });
    });
    const { spec } = find('Prometheus', 'prometheus');
    const labelled = { matchLabels: { 'mlops-lifecycle/monitored': 'true' } };
    expect(spec).toMatchObject({
      serviceMonitorNamespaceSelector: labelled,
      podMonitorNamespaceSelector: labelled,
      ruleNamespaceSelector: labelled,
      enforcedNamespaceLabel: 'monitored_namespace',
      ignoreNamespaceSelectors: true,
      arbitraryFSAccessThroughSMs: { deny: true },
    });
    const ours = spec.excludedFromEnforcement.map(({ namespace }: Json) => namespace);
    expect([...new Set(ours)]).toEqual(['mlops-platform', 'mlops-steps', 'mlops-nodes']);
    const [alert] = find('PrometheusRule', 'grafana').spec.groups[0].rules;
    expect(alert.expr).toContain('up{job="grafana", monitored_namespace=""}');
    const dashboard = find('ConfigMap', 'dashboard-mlops-grafana').data['mlops-grafana.json'];
    expect(dashboard).toContain('monitored_namespace=\\"\\"');
  });

  test('reads in the whole cluster what targets, monitors and rules there are, and no Secret', () => {
    const { objects } = inModule((app, shared) => {
      return new OwnMonitoring(app, 'monitoring', { ...shared, accelerator: Accelerator.none() });
    });
    const rights = Object.fromEntries(
      objects
        .filter(({ kind }) => kind === 'ClusterRole')
        .map(({ metadata, rules }) => [
          metadata.name,
          rules.flatMap(({ resources, verbs }: Json) =>
            resources.map((resource: string) => `${verbs.join(', ')} ${resource}`),
          ),
        ]),
    );
    expect(rights).toEqual({
      'mlops-platform:prometheus': [
        'list, watch endpoints',
        'list, watch pods',
        'list, watch services',
        'list, watch endpointslices',
      ],
      'mlops-platform:prometheus-operator': [
        'get storageclasses',
        'create, patch events',
        'list, watch namespaces',
        'list, watch podmonitors',
        'list, watch probes',
        'list, watch prometheusrules',
        'list, watch servicemonitors',
      ],
    });
    const inNamespaces = objects.filter(
      ({ kind, metadata }) => kind === 'Role' && metadata.name.startsWith('prometheus'),
    );
    expect(inNamespaces.map(({ metadata }) => metadata.namespace)).toEqual(['mlops-platform']);
  });

  test('gives Grafana one replica, and each dashboard a ConfigMap', () => {
    const { find, objects } = inModule((app, shared) => {
      return new OwnMonitoring(app, 'monitoring', { ...shared, accelerator: Accelerator.none() });
    });
    expect(find('Deployment', 'grafana').spec).toMatchObject({ replicas: 1, strategy: { type: 'Recreate' } });
    const dashboards = objects.filter(({ metadata }) => metadata.name.startsWith('dashboard-'));
    expect(dashboards.length).toBeGreaterThan(2);
    for (const { data } of dashboards) expect(Object.keys(data)).toHaveLength(1);
  });

  test('links to its pages where they open: Grafana’s Ingress, a port-forward for the others', () => {
    const ingress = { ...PAGES, port: 8080 };
    const { find } = inModule((app, shared) => {
      return new OwnMonitoring(app, 'monitoring', { ...shared, ingress, accelerator: Accelerator.none() });
    });
    const grafana = env(podSpec(find('Deployment', 'grafana')).containers[0]);
    expect(grafana.GF_SERVER_ROOT_URL).toBe('http://grafana.ml.example:8080');
    expect(find('Prometheus', 'prometheus').spec.externalUrl).toBe('http://localhost:9090');
    expect(find('Alertmanager', 'alertmanager').spec.externalUrl).toBe('http://localhost:9093');
  });
});

describe('NodeAgent', () => {
  test('is one pod a node, in the namespace of the nodes, without rights', () => {
    const { find } = build((scope) => new NodeAgent(scope, 'agent', AGENT));
    const daemonSet = find('DaemonSet', 'agent');
    expect(daemonSet.metadata.namespace).toBe('mlops-nodes');
    expect(podSpec(daemonSet)).toMatchObject({
      automountServiceAccountToken: false,
      serviceAccountName: 'agent',
    });
    expect(podSpec(daemonSet).containers[0]).toMatchObject({
      image: AGENT.image,
      ports: [],
      volumeMounts: [],
    });
    expect(find('NetworkPolicy', 'agent').spec).not.toHaveProperty('ingress');
  });

  test('takes what it needs of its node', () => {
    const { find, objects } = build(
      (scope) =>
        new NodeAgent(scope, 'agent', {
          ...AGENT,
          args: ['--all'],
          env: [{ name: 'A', value: 'b' }],
          ports: { metrics: 9100 },
          volumes: [{ volume: { name: 'root', hostPath: { path: '/' } }, mount: { mountPath: '/host' } }],
          pod: { hostNetwork: true },
        }),
    );
    expect(podSpec(find('DaemonSet', 'agent'))).toMatchObject({
      hostNetwork: true,
      volumes: [{ name: 'root', hostPath: { path: '/' } }],
      containers: [
        {
          args: ['--all'],
          env: [{ name: 'A', value: 'b' }],
          ports: [{ name: 'metrics', containerPort: 9100, hostPort: 9100 }],
          volumeMounts: [{ name: 'root', mountPath: '/host' }],
        },
      ],
    });
    expect(objects.map(({ kind }) => kind)).not.toContain('NetworkPolicy');
  });
});

describe('Pipeline', () => {
  const build = (trainer: object, accelerator: Accelerator, trainingGpus = 0, other: object = {}) =>
    inModule((app, { objectStore }) => {
      const change = { trainer, ...other };
      const stepPods = {
        namespace: 'mlops-steps',
        spec: (steps?: object) => ({
          resources: { requests: {}, limits: {} },
          pod: { apiVersion: 'v1' as const, kind: 'Pod' as const, ...steps },
        }),
      };
      const source = { definition: definePipeline({ ...TRIP, ...change }), model: '# mine\n' };
      const observability = new Observability();
      return new Pipeline(app, source, { observability, objectStore, stepPods, accelerator, trainingGpus });
    });
  const specOf = ({ objects }: ReturnType<typeof build>) =>
    JSON.parse(objects.find(({ data }) => data)!.data['spec.json']);

  test('is one spec for Airflow and the same for its steps, which get the model too', () => {
    const { objects } = build({}, Accelerator.none());
    expect(objects.map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`)).toEqual([
      'PrometheusRule mlops-platform/model-trip',
      'ConfigMap mlops-platform/pipeline-trip',
      'ConfigMap mlops-steps/pipeline-trip',
    ]);
    expect(objects[2]!.data).toEqual({ ...objects[1]!.data, 'model.py': '# mine\n' });
    expect(specOf({ objects } as ReturnType<typeof build>)).toMatchObject({
      name: 'trip',
      collection: {
        bucket: 'acme-data',
        prefix: 'trip/',
        schema: { features: [{ name: 'hour', type: 'int' }] },
      },
      registry: { model: 'trip', gate: { margin: 0.01 } },
      serving: { bucket: 'acme-models', maxBatchSize: 256 },
      steps: { pod: { name: 'trip', configMap: 'pipeline-trip' } },
    });
  });

  test('with a SQL source gives the database’s address, and the way to it, to the step collect alone', () => {
    const query = 'select * from t where at >= :start and at < :end';
    const source = { type: 'sql', query, period: 'date', secretName: 'db', port: 6432 };
    const built = build({}, Accelerator.none(), 0, { source });
    expect(specOf(built).collection.env).toEqual([
      { name: 'SOURCE_DATABASE_URL', valueFrom: { secretKeyRef: { name: 'db', key: 'url' } } },
    ]);
    const { spec } = built.find('NetworkPolicy', 'collect-trip');
    expect(spec.podSelector.matchLabels).toMatchObject({ 'mlops-lifecycle/step': 'collect' });
    expect(portsOf(spec.egress)).toEqual([53, 53, 6432]);
  });

  test('with an S3 source reads the platform’s bucket where no other is named', () => {
    const source = { type: 's3', prefix: 'incoming/{{ month }}/' };
    expect(specOf(build({}, Accelerator.none(), 0, { source })).collection.source.bucket).toBe('acme-data');
  });

  test('computes on the GPU of Triton unless it says otherwise', () => {
    const gpus = (serving: object) => specOf(build({}, Accelerator.nvidia(), 0, { serving })).serving.gpus;
    expect([gpus({}), gpus({ gpu: false })]).toEqual([1, 0]);
  });

  test('has ModelDataStale only where its source goes on, and ModelError only where onError is set', () => {
    const alerts = (other: object) =>
      build({}, Accelerator.none(), 0, other)
        .find('PrometheusRule', 'model-trip')
        .spec.groups[0].rules.flatMap(({ alert, expr }: Json) => (alert ? [[alert, expr]] : []));
    expect(Object.keys(Object.fromEntries(alerts({})))).toEqual([
      'ModelDrift',
      'ModelPredictionDrift',
      'ModelDataStale',
      'ModelVersionRefused',
    ]);
    const source = { ...TRIP.source, until: '2024-01' };
    const given = Object.fromEntries(alerts({ source, retraining: { onError: 7 } }));
    expect(Object.keys(given)).toEqual([
      'ModelDrift',
      'ModelPredictionDrift',
      'ModelError',
      'ModelVersionRefused',
    ]);
    expect(given.ModelError).toContain('{model="trip", monitored_namespace=""}) > 7 ');
  });

  test('trains on the CPU where the environment has no GPU', () => {
    const { training } = specOf(build({ gpu: 1 }, Accelerator.none()));
    expect(training).not.toHaveProperty('runtimeClassName');
    expect(training.resources.limits).toEqual({ memory: '2Gi' });
  });

  test('trains on the CPU unless it asks for a GPU', () => {
    const { training } = specOf(build({}, Accelerator.nvidia(), 4));
    expect(training).not.toHaveProperty('runtimeClassName');
    expect(training.resources.limits).not.toHaveProperty([GPU]);
  });

  test('trains on as many GPUs as it asks for, of the kind that the environment has', () => {
    const { training } = specOf(build({ gpu: 2 }, Accelerator.nvidia({ runtimeClassName: 'gpu' }), 4));
    expect(training.runtimeClassName).toBe('gpu');
    expect(training.resources.limits[GPU]).toBe(2);
  });

  test('is refused more GPUs than Triton leaves', () => {
    expect(() => build({ gpu: 2 }, Accelerator.nvidia(), 1)).toThrow(DefinitionError);
    expect(() => build({ gpu: 2 }, Accelerator.nvidia(), 1)).toThrow(
      /trainer\.gpu: must not be more than the environment leaves to training: 1.*, got 2/,
    );
  });
});

describe('a whole platform', () => {
  const podsWith = (accelerator?: Accelerator): Pod[] =>
    podsOf([...render('test', defineEnvironment({ accelerator }), []).values()].flat());
  const withGpu = podsWith(Accelerator.nvidia());

  test('runs every pod of mlops-platform without rights', () => {
    const ours = withGpu.filter(({ namespace }) => namespace === 'mlops-platform');
    expect(ours.length).toBeGreaterThan(12);
    for (const { owner, spec, containers, initContainers } of ours) {
      expect({ owner, ...spec.securityContext }).toMatchObject({
        owner,
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
      });
      for (const { name, ...container } of [...containers, ...initContainers]) {
        expect({ owner, name, ...container }).toMatchObject({ owner, name, securityContext: RESTRICTED });
      }
    }
  });

  test('gives its GPU to Triton alone, and requests none without an accelerator', () => {
    const takers = (pod: Pod) => JSON.stringify(pod.containers).includes(GPU);
    expect(withGpu.filter(takers).map(({ owner }) => owner)).toEqual(['Deployment mlops-platform/triton']);
    expect(podsWith().filter((pod) => takers(pod) || pod.spec.runtimeClassName)).toEqual([]);
  });
});

const RESTRICTED = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'] },
};
const LOGIN = SecretRef.external('login', ['database', 'username', 'password']);
const KEY = SecretRef.external('key', ['access-key', 'secret-key']);
const PAGES = { domain: 'ml.example', controllerNamespace: 'ingress' };

const EVERYTHING: Partial<WorkloadProps> = {
  kind: 'StatefulSet',
  namespace: 'mlops-platform',
  command: ['serve'],
  args: ['--fast'],
  ports: { http: 8080 },
  env: { MODE: 'fast', PASSWORD: LOGIN.key('password'), POD_IP: { fieldPath: 'status.podIP' } },
  mounts: [emptyDir('tmp', '/tmp', '1024Mi')],
  initContainers: [{ name: 'migrate', args: ['up'] }],
  readinessProbe: { exec: { command: ['true'] } },
  terminationGracePeriodSeconds: 60,
};

const AGENT = {
  name: 'agent',
  image: 'example.org/agent:1.0.0',
  cpu: { request: '10m' },
  memory: { request: '32Mi' },
  securityContext: { allowPrivilegeEscalation: false },
} as const;

/** Fills a scope; returns what `fill` made, and the rendered objects. */
function build<T>(fill: (scope: ManifestFile) => T) {
  const app = new App({ outdir: 'unused' });
  return { made: fill(new ManifestFile(app, 'scope', { file: 'test' })), ...rendered(app.node.findAll()) };
}

/** Makes a module on stand-ins for those before it; returns what `fill` made, and the module's rendered objects. */
function inModule<T>(fill: (app: App, before: Shared) => T) {
  const app = new App({ outdir: 'unused' });
  const before = shared(new ManifestFile(app, 'before', { file: 'before' }));
  const made = fill(app, before);
  const all = app.node.findAll().filter(({ node }) => !node.path.startsWith('before'));
  return { made, ...rendered(all) };
}

function rendered(constructs: ReturnType<App['node']['findAll']>) {
  const objects = constructs.filter((c) => ApiObject.isApiObject(c)).map((c) => c.toJson() as Json);
  const find = (kind: string, name: string): Json => {
    const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
    if (!found) throw new Error(`there is no ${kind} ${name}`);
    return found;
  };
  return { objects, find };
}

type Shared = ReturnType<typeof shared>;

function shared(scope: ManifestFile) {
  const database: IDatabase = {
    client: () => ({ endpoint: outsideEndpoint('db.example', 5432), env: { PGHOST: 'db.example' } }),
  };
  const objectStore: IObjectStore = {
    bucket: (use) => `acme-${use}`,
    client: ({ name }) => ({
      endpoint: outsideEndpoint('s3.example', 443),
      env: { AWS_ACCESS_KEY_ID: name },
    }),
  };
  const secrets = new Secrets(scope, 'secrets');
  return { database, objectStore, secrets, observability: new Observability(), ingress: PAGES };
}

function web(scope: ManifestFile, props: Partial<WorkloadProps> = {}): Workload {
  const name = props.name ?? 'web';
  return new Workload(scope, name, {
    name,
    system: name,
    component: 'server',
    image: 'example.org/web:1.0.0',
    user: { uid: 1000, gid: 1000 },
    cpu: { request: '100m' },
    memory: { request: '64Mi' },
    ...props,
  });
}

function connectionTo(server: Workload): Connection {
  const endpoint = server.endpoint('sql');
  const check = { image: 'example.org/nc:1', command: until('nc db', 'db'), env: {} };
  return {
    endpoint,
    env: { DB_HOST: endpoint.host },
    waitContainer: waitContainer({ name: 'wait-for-db', ...check }),
  };
}

function podSpec(controller: Json): Json {
  return controller.spec.template.spec;
}

function portsOf(edges: Json[]): number[] {
  return edges.flatMap(({ ports }) => (ports as k8s.NetworkPolicyPort[]).map(({ port }) => Number(port)));
}

/** A container's variables by their names: their text, or a reference to the key of a Secret. */
function env(container: Json): Json {
  return Object.fromEntries(
    (container.env as Json[]).map(({ name, value, valueFrom }) => [
      name,
      value ?? valueFrom.secretKeyRef ?? valueFrom,
    ]),
  );
}
