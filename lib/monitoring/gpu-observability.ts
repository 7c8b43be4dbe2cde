import type { Construct } from 'constructs';
import type { Alert } from '../observability/alert';
import { type Dashboard, isUp } from '../observability/dashboard';
import type { Observability } from '../observability/observability';
import type { Signal } from '../observability/signal';
import { GPU_METRICS } from './kubernetes-metrics';
import { nodeAgentMonitor } from './node-agent-monitor';

export interface GpuObservabilityProps {
  readonly observability: Observability;
}

/** Says what is worth knowing about the GPUs. */
export function gpuObservability(scope: Construct, { observability }: GpuObservabilityProps): void {
  nodeAgentMonitor(scope, observability, 'dcgm-exporter');
  observability.knows(GPU_METRICS);
  observability.watch(scope, { system: 'gpus', alerts: ALERTS, dashboard: DASHBOARD });
}

const HOT_CELSIUS = 88;
/** Used bytes over all bytes of a GPU. */
const GPU_MEMORY_FULL_RATIO = 0.95;

const dcgmExporterUp = isUp('dcgm-exporter', 'dcgm-exporter');

const gpuMemoryRatio: Signal = {
  name: 'GPU memory in use',
  description: 'Share of the memory of each GPU.',
  unit: 'percentunit',
  expr: 'max by (node, gpu) (DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE))',
  by: ['node', 'gpu'],
};

const gpuCelsius: Signal = {
  name: 'GPU temperature (°C)',
  description: 'Temperature of each GPU. Above about 90 °C it slows itself down.',
  unit: 'short',
  expr: 'max by (node, gpu) (DCGM_FI_DEV_GPU_TEMP)',
  by: ['node', 'gpu'],
};

const xidErrors: Signal = {
  name: 'New GPU errors',
  description: 'Changes of the last XID error of the driver in a quarter of an hour.',
  unit: 'short',
  expr: 'max by (node, gpu) (changes(DCGM_FI_DEV_XID_ERRORS[15m]))',
  by: ['node', 'gpu'],
};

const ALERTS: Alert[] = [
  {
    name: 'GpuExporterDown',
    expr: 'min by (node) (up{job="dcgm-exporter"}) == 0 or absent(up{job="dcgm-exporter"})',
    for: '10m',
    severity: 'warning',
    summary:
      'dcgm-exporter {{ with $labels.node }}on {{ . }} {{ end }}is not reached: nothing is known about the GPUs.',
  },
  {
    name: 'GpuHot',
    expr: `${gpuCelsius.expr} > ${HOT_CELSIUS}`,
    for: '5m',
    severity: 'warning',
    summary: 'GPU {{ $labels.gpu }} on {{ $labels.node }} is at {{ $value }} °C.',
  },
  {
    name: 'GpuError',
    expr: `${xidErrors.expr} > 0`,
    for: '1m',
    severity: 'critical',
    summary: 'The driver reports an XID error of GPU {{ $labels.gpu }} on {{ $labels.node }}.',
  },
  {
    name: 'GpuMemoryFull',
    expr: `${gpuMemoryRatio.expr} > ${GPU_MEMORY_FULL_RATIO}`,
    for: '15m',
    severity: 'warning',
    summary:
      '{{ $value | humanizePercentage }} of the memory of GPU {{ $labels.gpu }} on {{ $labels.node }} is in use.',
  },
];

const DASHBOARD: Dashboard = {
  uid: 'mlops-gpus',
  title: 'GPUs',
  description: 'What the GPUs do.',
  rows: [
    {
      title: 'Health',
      signals: [
        dcgmExporterUp,
        {
          name: 'GPUs',
          description: 'GPUs that dcgm-exporter sees.',
          unit: 'short',
          expr: 'count(count by (node, gpu) (DCGM_FI_DEV_GPU_UTIL))',
          as: 'stat',
        },
      ],
    },
    {
      title: 'Use',
      signals: [
        {
          name: 'GPU in use',
          description: 'Share of the time in which each GPU computes.',
          unit: 'percentunit',
          expr: 'max by (node, gpu) (DCGM_FI_DEV_GPU_UTIL) / 100',
          by: ['node', 'gpu'],
        },
        gpuMemoryRatio,
        gpuCelsius,
        {
          name: 'Power (W)',
          description: 'Power that each GPU draws.',
          unit: 'short',
          expr: 'max by (node, gpu) (DCGM_FI_DEV_POWER_USAGE)',
          by: ['node', 'gpu'],
        },
        xidErrors,
      ],
    },
  ],
};
