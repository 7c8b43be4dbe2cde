import { k8s } from 'cdk8s-plus-28';
import { Construct } from 'constructs';
import type { SecretKey } from '../definitions/secret-ref';
import type { Workload } from './workload';

/** How a browser reaches the web pages. */
export interface IngressSettings {
  /** DNS domain of the pages, which open at `<name>.<domain>`. */
  readonly domain: string;
  /** Namespace of the ingress controller, which alone may reach the pages. */
  readonly controllerNamespace: string;
  /**
   * IngressClass of the pages' Ingresses.
   * @default - the cluster's default class
   */
  readonly ingressClass?: string;
  /**
   * Secret of type kubernetes.io/tls for `*.<domain>`.
   * @default - plain http
   */
  readonly tlsSecretName?: string;
  /**
   * Whether browsers open the pages with https.
   * @default - true with `tlsSecretName`
   */
  readonly https?: boolean;
  /**
   * Port in the URLs of the pages.
   * @default - the scheme's own
   */
  readonly port?: number;
}

export interface IngressProps {
  readonly ingress: IngressSettings;
  readonly workload: Workload;
  /** Name of the workload's port. */
  readonly port: string;
  /** The page's login. Required, so that no program without a login gets an Ingress. */
  readonly login: { readonly user: string; readonly password: SecretKey };
  /**
   * Name of the Ingress, and first part of its host.
   * @default - the workload's name
   */
  readonly name?: string;
}

/** Publishes one port of a workload as a web page at `<name>.<domain>`. */
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
        // `npm run status` prints the URL, the user and where the password is, never the password itself.
        annotations: {
          [PAGE_ANNOTATIONS.url]: ingressUrl(name, ingress),
          [PAGE_ANNOTATIONS.user]: login.user,
          [PAGE_ANNOTATIONS.secret]: login.password.secret.name,
          [PAGE_ANNOTATIONS.key]: login.password.key,
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

/** Annotations of a page's Ingress: its URL, its user, and the Secret and key that hold the password. */
export const PAGE_ANNOTATIONS = {
  url: 'mlops-lifecycle/page-url',
  user: 'mlops-lifecycle/login-user',
  secret: 'mlops-lifecycle/login-secret',
  key: 'mlops-lifecycle/login-key',
} as const;

/** URL of a page, for links to it. The page itself opens at any port. */
export function ingressUrl(name: string, settings: IngressSettings): string {
  const [scheme, ownPort] = opensWithHttps(settings) ? ['https', 443] : ['http', 80];
  const port = (settings.port ?? ownPort) === ownPort ? '' : `:${settings.port}`;
  return `${scheme}://${name}.${settings.domain}${port}`;
}

/** Whether browsers open the pages with https only. Where it is false, something before the cluster may still end TLS. */
export function opensWithHttps({ https, tlsSecretName }: IngressSettings): boolean {
  return https ?? tlsSecretName !== undefined;
}
