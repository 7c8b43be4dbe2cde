import type { Construct } from 'constructs';
import { parse } from '../definitions/parse';
import { type Bytes } from '../definitions/quantity';
import { type Duration, rules } from '../definitions/rules';
import { z } from 'zod';
import type { ManifestFile } from '../kubernetes/manifest-file';
import { NAMESPACE_MATCHER, OWN_PROMETHEUS, type PrometheusServer } from '../observability/prometheus-server';
import { ExistingMonitoring } from './existing-monitoring';
import { type ExistingMonitoringProps, existingMonitoringSchema, isOurs } from './existing-prometheus';
import type { MonitoringContext } from './monitoring-context';
import { NodeExporter } from './node-exporter';
import { OwnMonitoring } from './own-monitoring';

/** Settings of the platform's own Prometheus. */
export interface OwnMonitoringProps {
  /**
   * How long Prometheus keeps samples.
   * @default 15d
   */
  readonly retention?: Duration;
  /**
   * Size of Prometheus' volume.
   * @default 10Gi
   */
  readonly storage?: Bytes;
  /**
   * What measures the nodes. Node-exporter takes a port of every node, which another node-exporter may have already.
   * @default - node-exporter on port 9100
   */
  readonly nodeExporter?: NodeExporter;
}

/** What monitors the platform: its own Prometheus, or one that the cluster already has. */
export abstract class Monitoring {
  /** The Prometheus, as far as the other modules need to know it. */
  abstract readonly prometheus: PrometheusServer;
  /** Whether `dist/` contains the CustomResourceDefinitions of the Prometheus operator. */
  abstract readonly bringsDefinitions: boolean;
  /** Namespaces outside the platform that its objects and addresses may refer to. */
  abstract readonly otherNamespaces: readonly string[];

  /**
   * A Prometheus that the platform runs, with Alertmanager, Grafana, node-exporter and kube-state-metrics.
   * @throws DefinitionErrors with every fault.
   */
  static own(props: OwnMonitoringProps = {}): Monitoring {
    const checked = parse(ownSchema, props, 'Monitoring.own');
    return {
      prometheus: OWN_PROMETHEUS,
      bringsDefinitions: true,
      otherNamespaces: [],
      bind: (scope, id, context) => new OwnMonitoring(scope, id, { ...context, ...checked }),
    };
  }

  /**
   * A Prometheus that somebody else runs in the cluster with the Prometheus operator, and its Grafana.
   * @throws DefinitionErrors with every fault.
   */
  static existing(props: ExistingMonitoringProps): Monitoring {
    const existing = parse(existingMonitoringSchema, props, 'Monitoring.existing');
    return {
      prometheus: {
        url: existing.address.url,
        labels: existing.labels,
        matcher: NAMESPACE_MATCHER,
        shared: true,
      },
      bringsDefinitions: false,
      otherNamespaces: [existing.namespace, existing.address.namespace, existing.dashboards.namespace].filter(
        (namespace): namespace is string => namespace !== undefined && !isOurs(namespace),
      ),
      bind: (scope, id, context) => new ExistingMonitoring(scope, id, { ...context, existing }),
    };
  }

  /** Creates the module's file. */
  abstract bind(scope: Construct, id: string, context: MonitoringContext): ManifestFile;
}

const ownSchema = z.strictObject({
  retention: rules.duration().default('15d'),
  storage: rules.bytes().default('10Gi'),
  nodeExporter: z
    .custom<NodeExporter>(
      (value) => value instanceof NodeExporter,
      'must be NodeExporter.own(…) or NodeExporter.none()',
    )
    .prefault(() => NodeExporter.own()),
});
