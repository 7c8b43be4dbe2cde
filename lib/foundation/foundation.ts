import { k8s } from 'cdk8s-plus-28';
import type { Construct } from 'constructs';
import { ManifestFile } from '../kubernetes/manifest-file';
import { ENVIRONMENT_LABEL, MONITORED_LABEL } from '../kubernetes/labels';
import { NAMESPACES, PLATFORM_NAMESPACE, POD_SECURITY } from '../kubernetes/namespaces';
import type { IngressSettings } from '../kubernetes/ingress';
import type { Observability } from '../observability/observability';
import type { Database, IDatabase } from './database';
import type { IObjectStore, ObjectStore } from './object-store';
import { Secrets } from './secrets';

export interface FoundationProps {
  /** Becomes a label of the platform's namespace. `npm run deploy` reads it and refuses another environment. */
  readonly environmentName: string;
  readonly database: Database;
  readonly objectStore: ObjectStore;
  readonly observability: Observability;
  readonly ingress: IngressSettings;
  /** @default - the cluster's default storage class */
  readonly storageClass?: string;
}

/** What all other modules need: namespaces, Secrets, a database and an object store. */
export class Foundation extends ManifestFile {
  readonly secrets: Secrets;
  readonly database: IDatabase;
  readonly objectStore: IObjectStore;

  constructor(scope: Construct, id: string, props: FoundationProps) {
    super(scope, id, { file: '10-foundation' });
    for (const name of NAMESPACES) {
      const environment = name === PLATFORM_NAMESPACE ? props.environmentName : undefined;
      this.declareNamespace(name, POD_SECURITY[name], environment);
    }
    this.secrets = new Secrets(this, 'secrets');
    this.database = props.database.bind(this, { ...props, secrets: this.secrets });
    this.objectStore = props.objectStore.bind(this, { ...props, secrets: this.secrets });
  }

  /** A namespace in which all traffic is denied that no other NetworkPolicy allows. */
  private declareNamespace(
    name: string,
    podSecurity: 'restricted' | 'privileged',
    environmentName?: string,
  ): void {
    new k8s.KubeNamespace(this, name, {
      metadata: {
        name,
        labels: {
          ...(environmentName === undefined ? {} : { [ENVIRONMENT_LABEL]: environmentName }),
          [MONITORED_LABEL]: 'true',
          'pod-security.kubernetes.io/enforce': podSecurity,
          'pod-security.kubernetes.io/warn': podSecurity,
        },
      },
    });
    new k8s.KubeNetworkPolicy(this, `${name}-deny`, {
      metadata: { name: 'default-deny', namespace: name },
      spec: { podSelector: {}, policyTypes: ['Egress', 'Ingress'] },
    });
  }
}
