import type { Construct } from 'constructs';
import { ManifestFile } from '../kubernetes/manifest-file';
import type { NetworkPolicy } from '../kubernetes/network-policy';
import { ConfigFiles } from '../kubernetes/volume';
import { dashboardJson } from '../observability/dashboard';
import { platformDashboard } from '../observability/platform-series';
import { dashboardName } from './dashboard-name';
import type { ExistingPrometheus } from './existing-prometheus';
import { gpuMonitoring } from './gpu-monitoring';
import { kubernetesObservability } from './kubernetes-observability';
import { modelObservability } from './model-observability';
import type { MonitoringContext } from './monitoring-context';
import { showableOverview } from './overview-dashboard';

export interface ExistingMonitoringFileProps extends Pick<
  MonitoringContext,
  'observability' | 'accelerator'
> {
  readonly existing: ExistingPrometheus;
}

/**
 * Lets somebody else's Prometheus monitor what all modules declared: rules, dashboards, and the NetworkPolicies between
 * both. It has no rules and dashboards about nodes, Prometheus or Grafana, which are for those who run them.
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

  /** One ConfigMap for each dashboard, because one holds at most 1 MiB. */
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
