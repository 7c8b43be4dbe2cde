import type { Construct } from 'constructs';
import type { Accelerator } from '../definitions/accelerator';
import type { IngressSettings } from '../kubernetes/ingress';
import type { Bytes } from '../definitions/quantity';
import { ManifestFile } from '../kubernetes/manifest-file';
import type { Secrets } from '../foundation/secrets';
import type { Observability } from '../observability/observability';
import { Grafana } from './grafana';
import { gpuMonitoring } from './gpu-monitoring';
import { kubernetesObservability, nodeObservability } from './kubernetes-observability';
import { kubeStateMetrics } from './kube-state-metrics';
import { nodeExporter } from './node-agents';
import { modelObservability } from './model-observability';
import { Prometheus } from './prometheus';
import { prometheusObservability } from './prometheus-observability';
import { prometheusOperator } from './prometheus-operator';

export interface OwnMonitoringFileProps {
  readonly secrets: Secrets;
  readonly observability: Observability;
  readonly ingress: IngressSettings;
  /** The GPUs of the cluster's nodes, or none. */
  readonly accelerator: Accelerator;
  /** @default 15d */
  readonly retention?: string;
  /** Of Prometheus. @default 10Gi */
  readonly storage?: Bytes;
  /** @default - the cluster's default storage class */
  readonly storageClass?: string;
}

/** Watches everything that came before it, and shows it. The last module: it hears what all others measure. */
export class OwnMonitoring extends ManifestFile {
  readonly grafana: Grafana;
  readonly prometheus: Prometheus;

  constructor(scope: Construct, id: string, props: OwnMonitoringFileProps) {
    super(scope, id, { file: '50-monitoring' });
    const { observability } = props;
    const operator = prometheusOperator(this);
    prometheusObservability(this, { observability, operator });
    kubernetesObservability(this, { observability, kubeStateMetrics: kubeStateMetrics(this) });
    modelObservability(this, { observability });
    nodeExporter(this);
    nodeObservability(this, { observability });
    gpuMonitoring(this, props);
    this.grafana = new Grafana(this, 'grafana', {
      secrets: props.secrets,
      observability,
      ingress: props.ingress,
      storageClass: props.storageClass,
    });
    this.prometheus = new Prometheus(this, 'prometheus', props);
  }
}
