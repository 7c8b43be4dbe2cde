import type { Construct } from 'constructs';
import { gpuObservability } from './gpu-observability';
import type { MonitoringContext } from './monitoring-context';
import { DCGM_EXPORTER_PORT, dcgmExporter, devicePlugin } from './node-agents';

/** The device plugin, by which pods can request GPUs, and the exporter of their metrics. Nothing without GPUs. */
export function gpuMonitoring(
  scope: Construct,
  { observability, accelerator }: Pick<MonitoringContext, 'observability' | 'accelerator'>,
): void {
  if (!accelerator.present) return;
  devicePlugin(scope, accelerator);
  const { networkPolicy } = dcgmExporter(scope, accelerator);
  observability.scrapes({ networkPolicy: networkPolicy!, port: DCGM_EXPORTER_PORT });
  gpuObservability(scope, { observability });
}
