import type { Construct } from 'constructs';
import type { Accelerator } from '../definitions/accelerator';
import type { Observability } from '../observability/observability';
import { gpuObservability } from './gpu-observability';
import { DCGM_EXPORTER_PORT, dcgmExporter, devicePlugin } from './node-agents';

export interface GpuMonitoringProps {
  readonly observability: Observability;
  /** The GPUs of the cluster's nodes, or none. */
  readonly accelerator: Accelerator;
}

/** Offers the nodes' GPUs to the scheduler, and says what they do. */
export function gpuMonitoring(scope: Construct, { observability, accelerator }: GpuMonitoringProps): void {
  if (!accelerator.present) return;
  devicePlugin(scope, accelerator);
  const { networkPolicy } = dcgmExporter(scope, accelerator);
  observability.scrapes({ networkPolicy: networkPolicy!, port: DCGM_EXPORTER_PORT });
  gpuObservability(scope, { observability });
}
