import { k8s } from 'cdk8s-plus-28';
import { Construct } from 'constructs';
import type { SecretKey } from '../definitions/secret-ref';
import type { Workload } from './workload';

/** How a person's browser reaches the platform's pages. */
export interface IngressSettings {
  /** Pages open at `<name>.<domain>`. */
  readonly domain: string;
  /** Namespace of the ingress controller, which alone may reach the pages. */
  readonly controllerNamespace: string;
  /** @default - the cluster's default class */
  readonly ingressClass?: string;
  /**
   * Secret of type kubernetes.io/tls for `*.<domain>`.
   * @default - plain http
   */
  readonly tlsSecretName?: string;
}

export interface IngressProps {
  readonly ingress: IngressSettings;
  readonly workload: Workload;
  /** Name of the workload's port. */
  readonly port: string;
  /** Who may log in. A page of something without a login is not opened. */
  readonly login: { readonly user: string; readonly password: SecretKey };
  /** @default - the workload's name */
  readonly name?: string;
}

/** Opens one port of a workload as a page. */
export class Ingress extends Construct {
  readonly host: string;

  constructor(scope: Construct, id: string, props: IngressProps) {
    super(scope, id);
    const { ingress, workload, port: portName, login } = props;
    const name = props.name ?? workload.name;
    this.host = `${name}.${ingress.domain}`;
    workload.networkPolicy.allowFromNamespace(ingress.controllerNamespace, workload.endpoint(portName).port);
    new k8s.KubeIngress(this, 'ingress', {
      metadata: {
        name,
        namespace: workload.namespace,
        // What `npm run status` tells a person: where the password is, never the password.
        annotations: {
          [LOGIN_ANNOTATIONS.user]: login.user,
          [LOGIN_ANNOTATIONS.secret]: login.password.secret.name,
          [LOGIN_ANNOTATIONS.key]: login.password.key,
        },
      },
      spec: {
        ingressClassName: ingress.ingressClass,
        tls: ingress.tlsSecretName ? [{ hosts: [this.host], secretName: ingress.tlsSecretName }] : undefined,
        rules: [
          {
            host: this.host,
            http: {
              paths: [
                {
                  path: '/',
                  pathType: 'Prefix',
                  backend: { service: { name: workload.name, port: { name: portName } } },
                },
              ],
            },
          },
        ],
      },
    });
  }
}

/** Annotations of a page's Ingress: its user, and the Secret and key that hold the password. */
export const LOGIN_ANNOTATIONS = {
  user: 'mlops-lifecycle/login-user',
  secret: 'mlops-lifecycle/login-secret',
  key: 'mlops-lifecycle/login-key',
} as const;

/** Where a person opens a page. */
export function ingressUrl(name: string, props: IngressSettings): string {
  return `${props.tlsSecretName ? 'https' : 'http'}://${name}.${props.domain}`;
}
