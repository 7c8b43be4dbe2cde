import type { NetworkPolicy } from './network-policy';
import type { SecretKey } from '../definitions/secret-ref';
import type { k8s } from 'cdk8s-plus-28';

/** A literal, one key of a Secret, or a field of the pod itself. */
export type EnvValue = string | SecretKey | { readonly fieldPath: string };

/** Where something answers. */
export interface Endpoint {
  /** `<service>.<namespace>.svc`, or a host outside the cluster. */
  readonly host: string;
  readonly port: number;
  /** Opens the way from these pods to the endpoint, at both ends. */
  open(from: NetworkPolicy): void;
}

/**
 * One statement's worth of wiring: what `workload.uses(connection)` needs to
 * know of the other side. No host name, port or secret key is written twice.
 */
export interface Connection {
  readonly endpoint: Endpoint;
  /** Address and credentials, in the variables that the other side's own clients read. */
  readonly env: Readonly<Record<string, EnvValue>>;
  /** Start-up order: a container that ends once the other side answers these credentials. */
  readonly waitContainer?: k8s.Container;
}

/** An endpoint that the cluster does not run. */
export function outsideEndpoint(host: string, port: number): Endpoint {
  return { host, port, open: (from) => from.allowToOutside(port) };
}
