import { Lazy } from 'cdk8s';
import { k8s } from 'cdk8s-plus-28';
import { Construct } from 'constructs';
import { DefinitionError } from '../definitions/definition-error';
import { images } from '../kubernetes/images';
import { pythonFile } from '../kubernetes/program';
import { SecretRef } from '../definitions/secret-ref';
import { NONROOT } from '../kubernetes/pod-defaults';
import { PLATFORM_NAMESPACE, STEPS_NAMESPACE } from '../kubernetes/namespaces';
import { contentHash } from '../kubernetes/volume';
import { Workload } from '../kubernetes/workload';

/**
 * How the value of a key is made. `password`: 32 letters and digits, safe in a URL.
 * `fernet`: 32 random bytes in URL-safe base64, as Airflow's Fernet key wants.
 * `literal`: a fixed text that is not secret, such as a user name that a client reads from the same Secret.
 */
export type Recipe = 'password' | 'fernet' | { readonly literal: string };

interface PlannedSecret {
  readonly name: string;
  readonly namespaces: readonly string[];
  readonly keys: Readonly<Record<string, Recipe>>;
}

/**
 * A Job that generates each missing Secret inside the cluster and never overwrites one. So `dist/` contains no secret,
 * and nobody has to type one.
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
      user: NONROOT,
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
   * Adds a Secret to those that the Job generates.
   * @param keys the Secret's keys, and how the value of each is made
   * @param namespaces where pods read it: the first one has the original, the others get copies
   * @throws DefinitionError where the name is taken.
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

  /** Every generated Secret, for the check that each reference leads to an existing key. */
  get generated(): { namespace: string; name: string; keys: string[] }[] {
    return [...this.plan.values()].flatMap(({ name, namespaces, keys }) =>
      namespaces.map((namespace) => ({ namespace, name, keys: Object.keys(keys) })),
    );
  }

  private planFile(): string {
    const secrets = [...this.plan.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    return `${JSON.stringify({ secrets }, null, 2)}\n`;
  }

  /** The right to read Secrets that are copied to a second namespace, and no others. */
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

/** RBAC cannot restrict `create` to names. Without `get`, the Job cannot read existing Secrets. */
const CREATE: k8s.PolicyRule = { apiGroups: [''], resources: ['secrets'], verbs: ['create'] };

const PROGRAMS = {
  'generate_secrets.py': pythonFile('programs/generate_secrets.py'),
  'kubernetes_api.py': pythonFile('programs/kubernetes_api.py'),
};
