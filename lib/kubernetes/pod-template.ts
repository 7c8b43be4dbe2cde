import type { k8s } from 'cdk8s-plus-28';
import type { EnvValue } from './connection';
import { envVars, resources, restrictedContainer, restrictedPod } from './pod-defaults';
import type { ServiceAccount } from './service-account';
import type { Mount } from './volume';
import type { Sidecar, WorkloadProps } from './workload-props';

/** What a workload learnt after its construction. */
export interface PodWiring {
  readonly labels: Record<string, string>;
  readonly serviceAccount: ServiceAccount;
  /** Variables that connections brought; the workload's own come after and may quote them. */
  readonly env: Readonly<Record<string, EnvValue>>;
  readonly waits: readonly k8s.Container[];
}

/** A workload's pod: the one place where pods get their defaults. */
export function podTemplate(props: WorkloadProps, wiring: PodWiring): k8s.PodTemplateSpec {
  const mounts = props.mounts ?? [];
  const sidecars = props.sidecars ?? [];
  const everyMount = [...mounts, ...sidecars.flatMap((sidecar) => sidecar.mounts ?? [])];
  const accelerated = props.accelerator?.forPod();
  const hash = everyMount.flatMap((mount) => mount.contentHash?.() ?? []).join('-');
  const shared = {
    image: props.image,
    env: orNothing(envVars({ ...wiring.env, ...props.env })),
    resources: resources(props.cpu, props.memory, accelerated?.limits),
    securityContext: restrictedContainer,
    volumeMounts: orNothing(mounts.map(volumeMount)),
  };
  return {
    metadata: {
      labels: wiring.labels,
      annotations: hash ? { 'mlops-lifecycle/config': hash } : undefined,
    },
    spec: {
      serviceAccountName: wiring.serviceAccount.name,
      automountServiceAccountToken: wiring.serviceAccount.usesApi,
      enableServiceLinks: false,
      restartPolicy: props.kind === 'Job' ? 'OnFailure' : undefined,
      securityContext: restrictedPod(props.user),
      terminationGracePeriodSeconds: props.terminationGracePeriodSeconds ?? 30,
      runtimeClassName: accelerated?.runtimeClassName,
      nodeSelector: accelerated?.nodeSelector,
      tolerations: accelerated?.tolerations,
      topologySpreadConstraints: (props.replicas ?? 1) > 1 ? [spreadOverNodes(wiring.labels)] : undefined,
      initContainers: orNothing([
        ...wiring.waits,
        ...(props.initContainers ?? []).map((step) => ({ ...shared, ...step })),
        ...sidecars
          .filter(({ startsFirst }) => startsFirst)
          .map((sidecar) => ({ ...sidecarContainer(sidecar), restartPolicy: 'Always' })),
      ]),
      containers: [
        {
          ...shared,
          name: props.component,
          command: props.command,
          args: props.args,
          ports: containerPorts(props.ports),
          startupProbe: props.startupProbe,
          readinessProbe: props.readinessProbe,
          livenessProbe: props.livenessProbe,
          lifecycle: props.lifecycle,
        },
        ...sidecars.filter(({ startsFirst }) => !startsFirst).map(sidecarContainer),
      ],
      volumes: orNothing(volumes(everyMount, wiring.waits.length > 0)),
    },
  };
}

function sidecarContainer(sidecar: Sidecar): k8s.Container {
  const env = Object.assign({}, ...(sidecar.connections ?? []).map(({ env }) => env), sidecar.env) as Record<
    string,
    EnvValue
  >;
  return {
    name: sidecar.name,
    image: sidecar.image,
    command: sidecar.command,
    args: sidecar.args,
    env: orNothing(envVars(env)),
    ports: containerPorts(sidecar.ports),
    resources: resources(sidecar.cpu, sidecar.memory),
    securityContext: restrictedContainer,
    volumeMounts: orNothing((sidecar.mounts ?? []).map(volumeMount)),
    startupProbe: sidecar.startupProbe,
    readinessProbe: sidecar.readinessProbe,
    livenessProbe: sidecar.livenessProbe,
  };
}

function containerPorts(ports: Readonly<Record<string, number>> = {}): k8s.ContainerPort[] | undefined {
  return orNothing(Object.entries(ports).map(([name, containerPort]) => ({ name, containerPort })));
}

/** Several mounts may share a volume; waiting needs a place to write. */
function volumes(mounts: readonly Mount[], waits: boolean): k8s.Volume[] {
  const byName = new Map(mounts.map(({ volume }) => [volume.name, volume]));
  if (waits && !byName.has('tmp')) byName.set('tmp', { name: 'tmp', emptyDir: {} });
  return [...byName.values()];
}

function spreadOverNodes(labels: Record<string, string>): k8s.TopologySpreadConstraint {
  return {
    maxSkew: 1,
    topologyKey: 'kubernetes.io/hostname',
    whenUnsatisfiable: 'ScheduleAnyway',
    labelSelector: { matchLabels: labels },
  };
}

function volumeMount(mount: Mount): k8s.VolumeMount {
  return { name: mount.volume.name, mountPath: mount.path, subPath: mount.subPath, readOnly: mount.readOnly };
}

function orNothing<T>(list: T[]): T[] | undefined {
  return list.length > 0 ? list : undefined;
}
