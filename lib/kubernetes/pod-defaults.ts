import { k8s } from 'cdk8s-plus-28';
import { z } from 'zod';
import type { EnvValue } from './connection';
import { type Bytes, canonicalBytes, canonicalCpu, type Cpu, type Range } from '../definitions/quantity';

/** The user that a container runs as, in numbers, because `runAsNonRoot` cannot check a name. */
export interface ContainerUser {
  readonly uid: number;
  readonly gid: number;
}

/** User of the platform's own programs: `nonroot` in distroless images. */
export const NONROOT: ContainerUser = { uid: 65532, gid: 65532 };

/** User of other projects' programs that need no user of their own: `nobody`. */
export const NOBODY: ContainerUser = { uid: 65534, gid: 65534 };

/** The fields of a pod's spec for its ServiceAccount. The token is mounted only where it uses the Kubernetes API. */
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

/** What Pod Security `restricted` requires of a pod. Its volumes belong to its user's group. */
export function restrictedPod(user: ContainerUser): k8s.PodSecurityContext {
  return {
    runAsNonRoot: true,
    runAsUser: user.uid,
    runAsGroup: user.gid,
    fsGroup: user.gid,
    // By default the kubelet changes the group of every file of a volume at each start of the pod.
    fsGroupChangePolicy: 'OnRootMismatch',
    seccompProfile: { type: 'RuntimeDefault' },
  };
}

/** The same without a group for volumes, for a pod that mounts folders of its node. */
export function restrictedPodOfNode(user: ContainerUser): k8s.PodSecurityContext {
  const { fsGroup: _, fsGroupChangePolicy: _policy, ...rest } = restrictedPod(user);
  return rest;
}

/** What Pod Security `restricted` requires of a container, and a read-only root file system. */
export const restrictedContainer: k8s.SecurityContext = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'] },
};

/** Requests and limits as the API server stores them. `extended`, GPUs for example, is the same in both. */
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

/** Schema of a container's resources in spec.json. */
export const resourcesSpecSchema = z.strictObject({ requests: AMOUNTS, limits: AMOUNTS });

/** Requests and limits as plain JSON, for pods that Airflow creates. */
export function resourcesJson(...of: Parameters<typeof resources>): z.output<typeof resourcesSpecSchema> {
  const { requests, limits } = resources(...of);
  const values = (quantities: Record<string, k8s.Quantity> | undefined) =>
    Object.fromEntries(
      Object.entries(quantities ?? {}).map(([name, { value }]) => [name, value as string | number]),
    );
  return { requests: values(requests), limits: values(limits) };
}

/** Environment variables, in the given order: a later one may refer to an earlier one as `$(NAME)`. */
export function envVars(env: Readonly<Record<string, EnvValue>>): k8s.EnvVar[] {
  return Object.entries(env).map(([name, value]) => {
    if (typeof value === 'string') return { name, value };
    if ('fieldPath' in value) return { name, valueFrom: { fieldRef: { fieldPath: value.fieldPath } } };
    return { name, valueFrom: { secretKeyRef: { name: value.secret.name, key: value.key } } };
  });
}

/** An init container that waits for a server: `command` must end with 0 once the server is ready. */
export function waitContainer(props: {
  readonly name: string;
  /** @default - the client's image */
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

/** A command that repeats a shell line every two seconds until it succeeds, and prints what it waits for. */
export function until(check: string, waitingFor: string): string[] {
  return ['sh', '-c', `until ${check}; do echo 'waiting for ${waitingFor}'; sleep 2; done`];
}
