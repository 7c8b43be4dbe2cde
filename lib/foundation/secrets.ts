import { Lazy } from 'cdk8s';
import { k8s } from 'cdk8s-plus-28';
import { Construct } from 'constructs';
import { DefinitionError } from '../definitions/definition-error';
import { images } from '../kubernetes/images';
import { pythonFile } from '../kubernetes/program';
import { SecretRef } from '../definitions/secret-ref';
import { PLATFORM_NAMESPACE, STEPS_NAMESPACE } from '../kubernetes/namespaces';
import { contentHash } from '../kubernetes/volume';
import { Workload } from '../kubernetes/workload';

/**
 * How a value is made. `password`: 32 letters and digits, safe in a URL.
 * `fernet`: 32 random bytes in URL-safe base64, as Airflow's Fernet key wants.
 * `literal`: no secret at all, a user name say, where a client wants it in the same Secret.
 */
export type Recipe = 'password' | 'fernet' | { readonly literal: string };

interface PlannedSecret {
  readonly name: string;
  readonly namespaces: readonly string[];
  readonly keys: Readonly<Record<string, Recipe>>;
}

/**
 * Makes each missing Secret inside the cluster, once, and never overwrites one:
 * `dist/` holds no secret and nobody types any.
 */
export class Secrets extends Construct {
  private readonly plan = new Map<string, PlannedSecret>();

  constructor(scope: Construct, id: string) {
    super(scope, id);
    const files = new k8s.KubeConfigMap(this, 'files', {
      metadata: { name: 'generate-secrets' },
      data: {
        ...PROGRAMS,
        'plan.json': Lazy.any({ produce: () => this.planFile() }),
      },
    });
    new Workload(this, 'job', {
      name: 'generate-secrets',
      system: 'mlops-platform',
      component: 'generate-secrets',
      kind: 'Job',
      image: images.python,
      user: { uid: 65532, gid: 65532 },
      command: ['python3', '/plan/generate_secrets.py', '/plan/plan.json'],
      cpu: { request: '10m' },
      memory: { request: '32Mi', limit: '128Mi' },
      mounts: [
        {
          path: '/plan',
          readOnly: true,
          volume: { name: 'plan', configMap: { name: files.name } },
          contentHash: () => contentHash([PROGRAMS, this.planFile()]),
        },
      ],
      grants: [
        { namespace: PLATFORM_NAMESPACE, rules: Lazy.any({ produce: () => [CREATE, ...this.readShared()] }) },
        { namespace: STEPS_NAMESPACE, rules: [CREATE] },
      ],
    });
  }

  /**
   * @param namespaces where it must be readable; the first one holds the original
   * @throws DefinitionError when the name is taken.
   */
  generate(
    name: string,
    keys: Readonly<Record<string, Recipe>>,
    namespaces: readonly string[] = [PLATFORM_NAMESPACE],
  ): SecretRef {
    if (this.plan.has(name))
      throw new DefinitionError('secrets', 'already generates a Secret of this name', name);
    this.plan.set(name, { name, namespaces, keys });
    return new SecretRef(name, Object.keys(keys));
  }

  /** What is generated where, for the check that every reference finds its Secret. */
  get generated(): { namespace: string; name: string; keys: string[] }[] {
    return [...this.plan.values()].flatMap(({ name, namespaces, keys }) =>
      namespaces.map((namespace) => ({ namespace, name, keys: Object.keys(keys) })),
    );
  }

  private planFile(): string {
    const secrets = [...this.plan.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    return `${JSON.stringify({ secrets }, null, 2)}\n`;
  }

  /** A copy in a second namespace needs the original's value: these names and no others may be read. */
  private readShared(): k8s.PolicyRule[] {
    const shared = [...this.plan.values()].filter(({ namespaces }) => namespaces.length > 1);
    if (shared.length === 0) return [];
    return [
      {
        apiGroups: [''],
        resources: ['secrets'],
        resourceNames: shared.map(({ name }) => name).sort(),
        verbs: ['get'],
      },
    ];
  }
}

/** RBAC cannot hold `create` to names; without `get` what exists stays unread. */
const CREATE: k8s.PolicyRule = { apiGroups: [''], resources: ['secrets'], verbs: ['create'] };

const PROGRAMS = {
  'generate_secrets.py': pythonFile('programs/generate_secrets.py'),
  'kubernetes_api.py': pythonFile('programs/kubernetes_api.py'),
};
