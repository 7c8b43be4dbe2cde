import { k8s } from 'cdk8s-plus-28';
import { Construct } from 'constructs';
import type { Workload } from './workload';

/** How a person's browser reaches the platform's pages. */
export interface PagesProps {
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

/** Opens one port of a workload as a page. */
export class Page extends Construct {
  readonly host: string;

  /** @param name the page's own, where it differs from the workload's */
  constructor(
    scope: Construct,
    id: string,
    workload: Workload,
    portName: string,
    props: PagesProps,
    name: string = workload.name,
  ) {
    super(scope, id);
    this.host = `${name}.${props.domain}`;
    workload.firewall.allowFromNamespace(props.controllerNamespace, workload.endpoint(portName).port);
    new k8s.KubeIngress(this, 'ingress', {
      metadata: { name, namespace: workload.namespace },
      spec: {
        ingressClassName: props.ingressClass,
        tls: props.tlsSecretName ? [{ hosts: [this.host], secretName: props.tlsSecretName }] : undefined,
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

/** Where a person opens a page. */
export function pageUrl(name: string, props: PagesProps): string {
  return `${props.tlsSecretName ? 'https' : 'http'}://${name}.${props.domain}`;
}
