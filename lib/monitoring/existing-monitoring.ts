import type { Construct } from 'constructs';
import type { Accelerator } from '../definitions/accelerator';
import { ManifestFile } from '../kubernetes/manifest-file';
import type { NetworkPolicy } from '../kubernetes/network-policy';
import { ConfigFiles } from '../kubernetes/volume';
import { dashboardJson } from '../observability/dashboard';
import type { Observability } from '../observability/observability';
import { platformDashboard } from '../observability/platform-series';
import { dashboardName } from './dashboard-name';
import type { ExistingPrometheus } from './existing-prometheus';
import { gpuMonitoring } from './gpu-monitoring';
import { kubernetesObservability } from './kubernetes-observability';
import { modelObservability } from './model-observability';
import { showableOverview } from './overview-dashboard';

export interface ExistingMonitoringFileProps {
  readonly observability: Observability;
  /** The GPUs of the cluster's nodes, or none. */
  readonly accelerator: Accelerator;
  readonly existing: ExistingPrometheus;
}

/**
 * Lets somebody else's Prometheus watch everything that came before: rules, dashboards and the ways between the two.
 * What speaks of nodes, of Prometheus or of Grafana is for whoever runs them.
 */
export class ExistingMonitoring extends ManifestFile {
  constructor(
    scope: Construct,
    id: string,
    private readonly props: ExistingMonitoringFileProps,
  ) {
    super(scope, id, { file: '50-monitoring' });
    const { observability, accelerator, existing } = props;
    kubernetesObservability(this, { observability });
    modelObservability(this, { observability });
    gpuMonitoring(this, { observability, accelerator });
    this.dashboards();
    for (const { networkPolicy, port } of observability.scrapeTargets)
      networkPolicy.allowFromNamespace(existing.namespace, port, existing.pods);
    for (const client of observability.prometheusClients) this.openAddress(client);
  }

  private openAddress(client: NetworkPolicy): void {
    const { address, port = address.port } = this.props.existing;
    if (address.namespace === undefined) client.allowToOutside(address.port);
    else client.allowToNamespace(address.namespace, port);
  }

  /** One ConfigMap a dashboard: a ConfigMap holds one MiB at most. */
  private dashboards(): void {
    const { observability, existing } = this.props;
    const { namespace, labels, annotations, dataSource } = existing.dashboards;
    for (const dashboard of [showableOverview(observability), ...observability.dashboards]) {
      const name = dashboardName(dashboard);
      new ConfigFiles(this, name, {
        name,
        namespace,
        labels,
        annotations,
        files: {
          [`${dashboard.uid}.json`]: dashboardJson({
            ...platformDashboard(dashboard, observability.prometheus),
            dataSource,
          }),
        },
      });
    }
  }
}
