import type { Construct } from 'constructs';
import type { Bytes } from '../definitions/quantity';
import { ManifestFile } from '../kubernetes/manifest-file';
import { Grafana } from './grafana';
import { gpuMonitoring } from './gpu-monitoring';
import { kubernetesObservability, nodeObservability } from './kubernetes-observability';
import { kubeStateMetrics } from './kube-state-metrics';
import { nodeExporter } from './node-agents';
import { NodeExporter } from './node-exporter';
import { modelObservability } from './model-observability';
import type { MonitoringContext } from './monitoring-context';
import { Prometheus } from './prometheus';
import { prometheusObservability } from './prometheus-observability';
import { prometheusOperator } from './prometheus-operator';

export interface OwnMonitoringFileProps extends MonitoringContext {
  /** @default 15d */
  readonly retention?: string;
  /** Size of Prometheus' volume. @default 10Gi */
  readonly storage?: Bytes;
  /** @default - the platform's own, on port 9100 */
  readonly nodeExporter?: NodeExporter;
}

/** The platform's own Prometheus, Alertmanager and Grafana, for what all modules declared. It is created last. */
export class OwnMonitoring extends ManifestFile {
  readonly grafana: Grafana;
  readonly prometheus: Prometheus;

  constructor(scope: Construct, id: string, props: OwnMonitoringFileProps) {
    super(scope, id, { file: '50-monitoring' });
    const { observability, nodeExporter: { port } = NodeExporter.own() } = props;
    const operator = prometheusOperator(this);
    prometheusObservability(this, { observability, operator });
    kubernetesObservability(this, { observability, kubeStateMetrics: kubeStateMetrics(this) });
    modelObservability(this, { observability });
    if (port !== undefined) {
      nodeExporter(this, port);
      nodeObservability(this, { observability });
    }
    gpuMonitoring(this, props);
    this.grafana = new Grafana(this, 'grafana', {
      secrets: props.secrets,
      observability,
      ingress: props.ingress,
      storageClass: props.storageClass,
    });
    this.prometheus = new Prometheus(this, 'prometheus', { ...props, nodeExporterPort: port });
  }
}
