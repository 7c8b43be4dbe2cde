import { k8s } from 'cdk8s-plus-28';
import { Construct } from 'constructs';

/** Rights through the Kubernetes API, in one namespace or in the whole cluster. */
export interface Grant {
  /**
   * Namespace in which the rights hold.
   * @default - the whole cluster, by a ClusterRole
   */
  readonly namespace?: string;
  readonly rules: k8s.PolicyRule[];
}

export interface ServiceAccountProps {
  readonly name: string;
  readonly namespace: string;
  readonly grants: readonly Grant[];
}

/** The account a pod runs as, with no more rights than it was granted. */
export class ServiceAccount extends Construct {
  readonly name: string;
  readonly usesApi: boolean;

  constructor(scope: Construct, id: string, props: ServiceAccountProps) {
    super(scope, id);
    this.name = props.name;
    this.usesApi = props.grants.length > 0;
    new k8s.KubeServiceAccount(this, 'account', {
      metadata: { name: props.name, namespace: props.namespace },
      automountServiceAccountToken: false,
    });
    for (const grant of props.grants) this.grant(grant, props);
  }

  private grant(grant: Grant, props: ServiceAccountProps): void {
    const subjects = [{ kind: 'ServiceAccount', name: props.name, namespace: props.namespace }];
    const { rules } = grant;
    if (grant.namespace === undefined) {
      // Prefixed, because a ClusterRole of another project may have the same name.
      const name = `mlops-platform:${props.name}`;
      new k8s.KubeClusterRole(this, 'cluster-role', { metadata: { name }, rules });
      new k8s.KubeClusterRoleBinding(this, 'cluster-role-binding', {
        metadata: { name },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
        subjects,
      });
    } else {
      const metadata = { name: props.name, namespace: grant.namespace };
      new k8s.KubeRole(this, `role-${grant.namespace}`, { metadata, rules });
      new k8s.KubeRoleBinding(this, `role-binding-${grant.namespace}`, {
        metadata,
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: props.name },
        subjects,
      });
    }
  }
}
