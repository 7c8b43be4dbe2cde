import { k8s } from 'cdk8s-plus-28';
import type { Construct } from 'constructs';
import {
  ENVIRONMENT_LABEL,
  NODES_NAMESPACE,
  PLATFORM_NAMESPACE,
  Stage,
  STEPS_NAMESPACE,
} from '../core/stage';
import type { PagesProps } from '../core/page';
import type { Observability } from '../observability/observability';
import type { Database, IDatabase } from './database';
import type { IObjectStore, ObjectStore } from './object-store';
import { Secrets } from './secrets';

export interface FoundationProps {
  /** `npm run deploy` reads it in the cluster, and puts no other environment over it. */
  readonly environmentName: string;
  readonly database: Database;
  readonly objectStore: ObjectStore;
  readonly observability: Observability;
  readonly pages: PagesProps;
  /** @default - the cluster's default storage class */
  readonly storageClass?: string;
}

/** The ground a model's life stands on: namespaces, secrets, a database and an object store. */
export class Foundation extends Stage {
  readonly secrets: Secrets;
  readonly database: IDatabase;
  readonly objectStore: IObjectStore;

  constructor(scope: Construct, id: string, props: FoundationProps) {
    super(scope, id, { file: '10-foundation' });
    this.declareNamespace(PLATFORM_NAMESPACE, 'restricted', {
      [ENVIRONMENT_LABEL]: props.environmentName,
    });
    this.declareNamespace(STEPS_NAMESPACE, 'restricted');
    // node-exporter reads the node's own /proc and network, and GPU agents its devices:
    // the one exception, which is why they have a namespace without secrets to themselves.
    this.declareNamespace(NODES_NAMESPACE, 'privileged');
    this.secrets = new Secrets(this, 'secrets');
    this.database = props.database.bind(this, { ...props, secrets: this.secrets });
    this.objectStore = props.objectStore.bind(this, { ...props, secrets: this.secrets });
  }

  /** A namespace where nothing may talk to anything until a firewall opens an edge. */
  private declareNamespace(
    name: string,
    podSecurity: 'restricted' | 'privileged',
    labels: Readonly<Record<string, string>> = {},
  ): void {
    new k8s.KubeNamespace(this, name, {
      metadata: {
        name,
        labels: {
          ...labels,
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
