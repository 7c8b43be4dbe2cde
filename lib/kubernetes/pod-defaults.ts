import { k8s } from 'cdk8s-plus-28';
import { z } from 'zod';
import type { EnvValue } from './connection';
import { type Bytes, canonicalBytes, canonicalCpu, type Cpu, type Range } from '../definitions/quantity';

/** The numeric user a published image runs as; `runAsNonRoot` needs a number. */
export interface ContainerUser {
  readonly uid: number;
  readonly gid: number;
}

/** Who runs our own programs, which need no name: `nonroot` in distroless images. */
export const NONROOT: ContainerUser = { uid: 65532, gid: 65532 };

/** Who runs programs of others that need no user of their own: `nobody`. */
export const NOBODY: ContainerUser = { uid: 65534, gid: 65534 };

/** As which account a pod runs; the token is mounted only where the Kubernetes API is used. */
export function accountOf(account: {
  readonly name: string;
  readonly usesApi: boolean;
}): Pick<k8s.PodSpec, 'serviceAccountName' | 'automountServiceAccountToken' | 'enableServiceLinks'> {
  return {
    serviceAccountName: account.name,
    automountServiceAccountToken: account.usesApi,
    enableServiceLinks: false,
  };
}

/** What Pod Security `restricted` asks of a pod; its volumes belong to its user's group. */
export function restrictedPod(user: ContainerUser): k8s.PodSecurityContext {
  return {
    runAsNonRoot: true,
    runAsUser: user.uid,
    runAsGroup: user.gid,
    fsGroup: user.gid,
    // A large volume is not walked through again at every start.
    fsGroupChangePolicy: 'OnRootMismatch',
    seccompProfile: { type: 'RuntimeDefault' },
  };
}

/** The same for a pod whose volumes are the node's own. */
export function restrictedPodOfNode(user: ContainerUser): k8s.PodSecurityContext {
  const { fsGroup: _, fsGroupChangePolicy: _policy, ...rest } = restrictedPod(user);
  return rest;
}

/** What Pod Security `restricted` asks of a container, and a root file system nobody writes to. */
export const restrictedContainer: k8s.SecurityContext = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'] },
};

/** Requests and limits in the API server's own spelling; `extended` (GPUs, say) is the same in both. */
export function resources(
  cpu: Range<Cpu>,
  memory: Range<Bytes>,
  extended: Record<string, k8s.Quantity> = {},
): k8s.ResourceRequirements {
  return {
    requests: {
      cpu: k8s.Quantity.fromString(canonicalCpu(cpu.request)),
      memory: k8s.Quantity.fromString(canonicalBytes(memory.request)),
      ...extended,
    },
    limits: {
      ...(cpu.limit ? { cpu: k8s.Quantity.fromString(canonicalCpu(cpu.limit)) } : {}),
      memory: k8s.Quantity.fromString(canonicalBytes(memory.limit ?? memory.request)),
      ...extended,
    },
  };
}

const AMOUNTS = z.record(z.string(), z.union([z.string(), z.int()]));

/** What a container asks for, as a pipeline's spec says it. */
export const resourcesSpecSchema = z.strictObject({ requests: AMOUNTS, limits: AMOUNTS });

/** Requests and limits as JSON, for pods that Airflow makes: a Quantity is its value. */
export function resourcesJson(...of: Parameters<typeof resources>): z.output<typeof resourcesSpecSchema> {
  const { requests, limits } = resources(...of);
  const values = (quantities: Record<string, k8s.Quantity> | undefined) =>
    Object.fromEntries(
      Object.entries(quantities ?? {}).map(([name, { value }]) => [name, value as string | number]),
    );
  return { requests: values(requests), limits: values(limits) };
}

/** In the order given: a later variable may quote an earlier one as `$(NAME)`. */
export function envVars(env: Readonly<Record<string, EnvValue>>): k8s.EnvVar[] {
  return Object.entries(env).map(([name, value]) => {
    if (typeof value === 'string') return { name, value };
    if ('fieldPath' in value) return { name, valueFrom: { fieldRef: { fieldPath: value.fieldPath } } };
    return { name, valueFrom: { secretKeyRef: { name: value.secret.name, key: value.key } } };
  });
}

/** A container that ends with 0 once the other side is there. */
export function waitContainer(props: {
  readonly name: string;
  /** @default - the image of the program that waits */
  readonly image?: string;
  readonly command: string[];
  readonly env: Readonly<Record<string, EnvValue>>;
}): k8s.Container {
  return {
    name: props.name,
    image: props.image,
    command: props.command,
    env: envVars(props.env),
    resources: resources({ request: '10m' }, { request: '32Mi', limit: '256Mi' }),
    securityContext: restrictedContainer,
    volumeMounts: [{ name: 'tmp', mountPath: '/tmp', subPath: props.name }],
  };
}

/** Runs a shell line until it succeeds, saying each time what it waits for. */
export function until(check: string, waitingFor: string): string[] {
  return ['sh', '-c', `until ${check}; do echo 'waiting for ${waitingFor}'; sleep 2; done`];
}
