import type { k8s } from 'cdk8s-plus-28';
import type { EnvValue } from './connection';
import { listOrAbsent } from './list';
import { accountOf, envVars, resources, restrictedContainer, restrictedPod } from './pod-defaults';
import type { ServiceAccount } from './service-account';
import { type Mount, volumeMount } from './volume';
import type { Sidecar, WorkloadProps } from './workload-props';

/** What a workload and its connections add to its pod. */
export interface PodWiring {
  readonly labels: Record<string, string>;
  readonly serviceAccount: ServiceAccount;
  /** Variables of the connections. The workload's own follow, so that they may refer to these. */
  readonly env: Readonly<Record<string, EnvValue>>;
  readonly waits: readonly k8s.Container[];
}

/** The pod template of a workload, with the defaults that all pods of the platform share. */
export function podTemplate(props: WorkloadProps, wiring: PodWiring): k8s.PodTemplateSpec {
  const mounts = props.mounts ?? [];
  const sidecars = props.sidecars ?? [];
  const everyMount = [...mounts, ...sidecars.flatMap((sidecar) => sidecar.mounts ?? [])];
  const accelerated = props.accelerator?.forPod();
  const hash = everyMount.flatMap((mount) => mount.contentHash?.() ?? []).join('-');
  const shared = {
    image: props.image,
    env: listOrAbsent(envVars({ ...wiring.env, ...props.env })),
    resources: resources(props.cpu, props.memory, accelerated?.limits),
    securityContext: restrictedContainer,
    volumeMounts: listOrAbsent(mounts.map(volumeMount)),
  };
  return {
    metadata: {
      labels: wiring.labels,
      annotations: hash ? { 'mlops-lifecycle/config': hash } : undefined,
    },
    spec: {
      ...accountOf(wiring.serviceAccount),
      restartPolicy: props.kind === 'Job' ? 'OnFailure' : undefined,
      securityContext: restrictedPod(props.user),
      terminationGracePeriodSeconds: props.terminationGracePeriodSeconds ?? 30,
      runtimeClassName: accelerated?.runtimeClassName,
      nodeSelector: accelerated?.nodeSelector,
      tolerations: accelerated?.tolerations,
      topologySpreadConstraints: (props.replicas ?? 1) > 1 ? [spreadOverNodes(wiring.labels)] : undefined,
      initContainers: listOrAbsent([
        ...wiring.waits.map((wait) => ({ ...wait, image: wait.image ?? props.image })),
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
          ports: containerPorts(props.ports, props.udpPorts),
          startupProbe: props.startupProbe,
          readinessProbe: props.readinessProbe,
          livenessProbe: props.livenessProbe,
          lifecycle: props.lifecycle,
        },
        ...sidecars.filter(({ startsFirst }) => !startsFirst).map(sidecarContainer),
      ],
      volumes: listOrAbsent(volumes(everyMount, wiring.waits.length > 0)),
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
    env: listOrAbsent(envVars(env)),
    ports: containerPorts(sidecar.ports),
    resources: resources(sidecar.cpu, sidecar.memory),
    securityContext: restrictedContainer,
    volumeMounts: listOrAbsent((sidecar.mounts ?? []).map(volumeMount)),
    startupProbe: sidecar.startupProbe,
    readinessProbe: sidecar.readinessProbe,
    livenessProbe: sidecar.livenessProbe,
  };
}

function containerPorts(
  ports: Readonly<Record<string, number>> = {},
  udp: readonly string[] = [],
): k8s.ContainerPort[] | undefined {
  return listOrAbsent(
    Object.entries(ports).map(([name, containerPort]) => ({
      name,
      containerPort,
      protocol: udp.includes(name) ? 'UDP' : undefined,
    })),
  );
}

/** Each volume once, though several mounts may share it. Containers that wait need the volume `tmp`. */
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
