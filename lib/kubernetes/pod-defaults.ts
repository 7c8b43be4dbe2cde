import { k8s } from 'cdk8s-plus-28';
import { z } from 'zod';
import type { EnvValue } from './connection';
import { type Bytes, canonicalBytes, canonicalCpu, type Cpu, type Range } from '../definitions/quantity';

/** The numeric user a published image runs as; `runAsNonRoot` needs a number. */
export interface ContainerUser {
  readonly uid: number;
  readonly gid: number;
}

/** What Pod Security `restricted` asks of a pod. */
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

/** Resources as JSON says them: a Quantity is its value. */
export function plainResources({
  requests,
  limits,
}: k8s.ResourceRequirements): z.output<typeof resourcesSpecSchema> {
  return { requests: plain(requests), limits: plain(limits) };
}

function plain(quantities: Record<string, k8s.Quantity> | undefined): z.output<typeof AMOUNTS> {
  return Object.fromEntries(
    Object.entries(quantities ?? {}).map(([name, { value }]) => [name, value as string | number]),
  );
}

/** In the order given: a later variable may quote an earlier one as `$(NAME)`. */
export function envVars(env: Readonly<Record<string, EnvValue>>): k8s.EnvVar[] {
  return Object.entries(env).map(([name, value]) => {
    if (typeof value === 'string') return { name, value };
    if ('fieldPath' in value) return { name, valueFrom: { fieldRef: { fieldPath: value.fieldPath } } };
    return { name, valueFrom: { secretKeyRef: { name: value.secret.name, key: value.key } } };
  });
}

/** A container that runs a shell line until it succeeds, saying each time what it waits for. */
export function waitContainer(props: {
  readonly name: string;
  readonly image: string;
  /** Ends with 0 once the other side is there. */
  readonly check: string;
  readonly waitingFor: string;
  readonly env: Readonly<Record<string, EnvValue>>;
}): k8s.Container {
  return {
    name: props.name,
    image: props.image,
    command: ['sh', '-c', `until ${props.check}; do echo 'waiting for ${props.waitingFor}'; sleep 2; done`],
    env: envVars(props.env),
    resources: resources({ request: '10m' }, { request: '32Mi', limit: '256Mi' }),
    securityContext: restrictedContainer,
    volumeMounts: [{ name: 'tmp', mountPath: '/tmp', subPath: props.name }],
  };
}
