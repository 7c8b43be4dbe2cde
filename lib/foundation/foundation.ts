import { k8s } from 'cdk8s-plus-28';
import type { Construct } from 'constructs';
import { ManifestFile } from '../kubernetes/manifest-file';
import { NODES_NAMESPACE, PLATFORM_NAMESPACE, STEPS_NAMESPACE } from '../kubernetes/namespaces';
import type { IngressSettings } from '../kubernetes/ingress';
import type { Observability } from '../observability/observability';
import type { Database, IDatabase } from './database';
import type { IObjectStore, ObjectStore } from './object-store';
import { customResources } from './custom-resources';
import { Secrets } from './secrets';

export interface FoundationProps {
  readonly database: Database;
  readonly objectStore: ObjectStore;
  readonly observability: Observability;
  readonly ingress: IngressSettings;
  /** @default - the cluster's default storage class */
  readonly storageClass?: string;
}

/** The ground a model's life stands on: namespaces, secrets, a database and an object store. */
export class Foundation extends ManifestFile {
  readonly secrets: Secrets;
  readonly database: IDatabase;
  readonly objectStore: IObjectStore;

  constructor(scope: Construct, id: string, props: FoundationProps) {
    super(scope, id, { file: '10-foundation' });
    this.declareNamespace(PLATFORM_NAMESPACE, 'restricted');
    this.declareNamespace(STEPS_NAMESPACE, 'restricted');
    // node-exporter reads the node's own /proc and network, and GPU agents its devices:
    // the one exception, which is why they have a namespace without secrets to themselves.
    this.declareNamespace(NODES_NAMESPACE, 'privileged');
    this.secrets = new Secrets(this, 'secrets');
    customResources(this);
    this.database = props.database.bind(this, { ...props, secrets: this.secrets });
    this.objectStore = props.objectStore.bind(this, { ...props, secrets: this.secrets });
  }

  /** A namespace where nothing may talk to anything until a NetworkPolicy opens an edge. */
  private declareNamespace(name: string, podSecurity: 'restricted' | 'privileged'): void {
    new k8s.KubeNamespace(this, name, {
      metadata: {
        name,
        labels: {
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
