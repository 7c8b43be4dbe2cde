import type { Construct } from 'constructs';
import type { Alert } from '../observability/alert';
import { type Dashboard, isUp } from '../observability/dashboard';
import type { Observability } from '../observability/observability';
import type { Signal } from '../observability/signal';
import { NODE_METRICS } from './kubernetes-metrics';
import { nodeAgentMonitor } from './node-agent-monitor';

export interface NodeObservabilityProps {
  readonly observability: Observability;
}

/** Says what is worth knowing about the nodes. */
export function nodeObservability(scope: Construct, { observability }: NodeObservabilityProps): void {
  nodeAgentMonitor(scope, observability, 'node-exporter');
  observability.knows(NODE_METRICS);
  observability.watch(scope, { system: 'nodes', alerts: ALERTS, dashboard: DASHBOARD });
}

/** Free bytes over all bytes of a file system. */
const LITTLE_SPACE_RATIO = 0.1;
/** Memory that programs could still get, over all of it. */
const LITTLE_MEMORY_RATIO = 0.05;

const nodeExporterUp = isUp('node-exporter', 'node-exporter');

const diskFree: Signal = {
  name: 'Free disk',
  description: 'Share of each file system that is free. Claims of local-path share the disk of their node.',
  unit: 'percentunit',
  expr:
    'min by (node, device) (node_filesystem_avail_bytes{fstype!~"tmpfs|overlay|squashfs|ramfs|vfat"} / ' +
    'node_filesystem_size_bytes{fstype!~"tmpfs|overlay|squashfs|ramfs|vfat"})',
  by: ['node', 'device'],
};

const memoryFree: Signal = {
  name: 'Free memory',
  description: 'Share of memory that programs could still get.',
  unit: 'percentunit',
  expr: 'min by (node) (node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)',
  by: ['node'],
};

const ALERTS: Alert[] = [
  {
    name: 'NodeExporterDown',
    expr: 'min by (node) (up{job="node-exporter"}) == 0 or absent(up{job="node-exporter"})',
    for: '10m',
    severity: 'warning',
    summary:
      'node-exporter {{ with $labels.node }}on {{ . }} {{ end }}is not reached: nothing is known about the node.',
  },
  {
    name: 'NodeDiskFilling',
    expr: `${diskFree.expr} < ${LITTLE_SPACE_RATIO}`,
    for: '10m',
    severity: 'critical',
    summary: 'Only {{ $value | humanizePercentage }} of {{ $labels.device }} on {{ $labels.node }} is free.',
  },
  {
    name: 'NodeMemoryLow',
    expr: `${memoryFree.expr} < ${LITTLE_MEMORY_RATIO}`,
    for: '10m',
    severity: 'warning',
    summary: 'Only {{ $value | humanizePercentage }} of the memory of {{ $labels.node }} is free.',
  },
];

const DASHBOARD: Dashboard = {
  uid: 'mlops-nodes',
  title: 'Nodes',
  description: 'CPUs, memory, disks and network of the machines.',
  rows: [
    {
      title: 'Health',
      signals: [
        nodeExporterUp,
        {
          name: 'Nodes',
          description: 'Machines that node-exporter runs on.',
          unit: 'short',
          expr: 'count(up{job="node-exporter"})',
          as: 'stat',
        },
      ],
    },
    {
      title: 'Use',
      signals: [
        {
          name: 'CPU in use',
          description: 'Share of all cores that compute.',
          unit: 'percentunit',
          expr: '1 - avg by (node) (rate(node_cpu_seconds_total{mode="idle"}[$__rate_interval]))',
          by: ['node'],
        },
        {
          name: 'Load',
          description: 'Programs that compute or wait to, in the last minute.',
          unit: 'short',
          expr: 'max by (node) (node_load1)',
          by: ['node'],
        },
        memoryFree,
        diskFree,
        {
          name: 'Disk busy',
          description: 'Share of the time in which each disk works.',
          unit: 'percentunit',
          expr: 'max by (node, device) (rate(node_disk_io_time_seconds_total[$__rate_interval]))',
          by: ['node', 'device'],
        },
        {
          name: 'Network received',
          description: 'Bytes a second over all interfaces but the loopback.',
          unit: 'Bps',
          expr: 'sum by (node) (rate(node_network_receive_bytes_total{device!="lo"}[$__rate_interval]))',
          by: ['node'],
        },
        {
          name: 'Network sent',
          description: 'Bytes a second over all interfaces but the loopback.',
          unit: 'Bps',
          expr: 'sum by (node) (rate(node_network_transmit_bytes_total{device!="lo"}[$__rate_interval]))',
          by: ['node'],
        },
      ],
    },
  ],
};
