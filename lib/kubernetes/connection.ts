import type { NetworkPolicy } from './network-policy';
import type { SecretKey } from '../definitions/secret-ref';
import type { k8s } from 'cdk8s-plus-28';

/** Value of an environment variable: a text, a key of a Secret, or a field of the pod. */
export type EnvValue = string | SecretKey | { readonly fieldPath: string };

/** Network address of a server, and how its NetworkPolicy is opened. */
export interface Endpoint {
  /** `<service>.<namespace>.svc`, or a host outside the cluster. */
  readonly host: string;
  readonly port: number;
  /** Allows connections from the pods of `from`, in both NetworkPolicies. */
  open(from: NetworkPolicy): void;
}

/**
 * What `workload.uses(connection)` needs to know of a server. The server's construct makes it, so that no client
 * repeats a host name, a port or a Secret's key.
 */
export interface Connection {
  readonly endpoint: Endpoint;
  /** Address and credentials, in the variables that the server's own clients read, such as `PGHOST`. */
  readonly env: Readonly<Record<string, EnvValue>>;
  /**
   * Init container that ends once the server accepts these credentials. Without an image of its own it runs in the
   * client's image.
   * @default - the client does not wait
   */
  readonly waitContainer?: k8s.Container;
}

/** Address of a server outside of the cluster. */
export function outsideEndpoint(host: string, port: number): Endpoint {
  return { host, port, open: (from) => from.allowToOutside(port) };
}
