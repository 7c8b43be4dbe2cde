import type { Construct } from 'constructs';
import { type k8s } from 'cdk8s-plus-28';
import type { Accelerator } from '../definitions/accelerator';
import { images } from '../kubernetes/images';
import { NodeAgent } from '../kubernetes/node-agent';
import { NOBODY, restrictedContainer, restrictedPodOfNode } from '../kubernetes/pod-defaults';
import { httpProbe } from '../kubernetes/probe';

/** Exports the use of a node's CPUs, memory, disks and network, on a port of the node. */
export function nodeExporter(scope: Construct, port: number): NodeAgent {
  return new NodeAgent(scope, 'node-exporter', {
    name: 'node-exporter',
    image: images.nodeExporter,
    args: [
      '--path.procfs=/host/proc',
      '--path.sysfs=/host/sys',
      '--path.rootfs=/host/root',
      `--web.listen-address=:${port}`,
      // Container mounts and virtual interfaces come and go by the hundred.
      '--collector.filesystem.mount-points-exclude=^/(dev|proc|sys|run/k3s/containerd/.+|run/containerd/.+|var/lib/kubelet/pods/.+|var/lib/docker/.+)($|/)',
      '--collector.netdev.device-exclude=^(veth.*|cni.*|flannel.*)$',
    ],
    ports: { metrics: port },
    cpu: { request: '20m' },
    memory: { request: '32Mi', limit: '128Mi' },
    // It reads the host's own /proc and network counters; nothing else would show the node.
    pod: {
      hostNetwork: true,
      hostPid: true,
      securityContext: restrictedPodOfNode(NOBODY),
      tolerations: [{ operator: 'Exists', effect: 'NoSchedule' }],
    },
    securityContext: restrictedContainer,
    volumes: [
      hostPath('proc', '/proc', '/host/proc'),
      hostPath('sys', '/sys', '/host/sys'),
      // A file system that is mounted later would else be reported with the size of the one below it.
      propagated(hostPath('root', '/', '/host/root')),
    ],
    readinessProbe: httpProbe('/', 'metrics'),
  });
}

/** Offers a node's GPUs to the scheduler. */
export function devicePlugin(scope: Construct, accelerator: Accelerator): NodeAgent {
  return new NodeAgent(scope, 'device-plugin', {
    name: 'nvidia-device-plugin',
    image: images.devicePlugin,
    // Without a GPU on the node it waits instead of failing.
    env: [{ name: 'FAIL_ON_INIT_ERROR', value: 'false' }],
    cpu: { request: '10m' },
    memory: { request: '32Mi', limit: '256Mi' },
    pod: accelerator.forAgent(),
    // The kubelet's socket folder belongs to root.
    securityContext: { ...restrictedContainer, readOnlyRootFilesystem: undefined },
    volumes: [
      hostPath('device-plugins', '/var/lib/kubelet/device-plugins', '/var/lib/kubelet/device-plugins', false),
    ],
  });
}

export const DCGM_EXPORTER_PORT = 9400;

/** Exports the use of a node's GPUs. */
export function dcgmExporter(scope: Construct, accelerator: Accelerator): NodeAgent {
  return new NodeAgent(scope, 'dcgm-exporter', {
    name: 'dcgm-exporter',
    image: images.dcgmExporter,
    env: [{ name: 'DCGM_EXPORTER_KUBERNETES', value: 'true' }],
    ports: { metrics: DCGM_EXPORTER_PORT },
    cpu: { request: '50m' },
    memory: { request: '128Mi', limit: '512Mi' },
    pod: accelerator.forAgent(),
    // Profiling counters need SYS_ADMIN; without it dcgm-exporter has utilisation alone.
    securityContext: { runAsUser: 0, capabilities: { add: ['SYS_ADMIN'] } },
    volumes: [hostPath('pod-resources', '/var/lib/kubelet/pod-resources', '/var/lib/kubelet/pod-resources')],
    readinessProbe: httpProbe('/health', 'metrics', { periodSeconds: 10 }),
  });
}

function hostPath(name: string, path: string, mountPath: string, readOnly = true) {
  const volume: k8s.Volume = { name, hostPath: { path } };
  return { volume, mount: { mountPath, readOnly: readOnly || undefined } };
}

function propagated({ volume, mount }: ReturnType<typeof hostPath>) {
  return { volume, mount: { ...mount, mountPropagation: 'HostToContainer' } };
}
