import type { Construct } from 'constructs';
import type { Accelerator } from '../definitions/accelerator';
import { parse } from '../definitions/parse';
import { type Bytes } from '../definitions/quantity';
import { type Duration, rules } from '../definitions/rules';
import { z } from 'zod';
import type { Secrets } from '../foundation/secrets';
import type { IngressSettings } from '../kubernetes/ingress';
import type { ManifestFile } from '../kubernetes/manifest-file';
import type { Observability } from '../observability/observability';
import { NAMESPACE_MATCHER, OWN_PROMETHEUS, type PrometheusServer } from '../observability/prometheus-server';
import { ExistingMonitoring } from './existing-monitoring';
import { type ExistingMonitoringProps, existingMonitoringSchema, isOurs } from './existing-prometheus';
import { OwnMonitoring } from './own-monitoring';

/** What whoever watches is bound to. */
export interface MonitoringContext {
  readonly secrets: Secrets;
  readonly observability: Observability;
  readonly ingress: IngressSettings;
  /** The GPUs of the cluster's nodes, or none. */
  readonly accelerator: Accelerator;
  /** @default - the cluster's default storage class */
  readonly storageClass?: string;
}

/** A Prometheus that the platform runs, with Alertmanager, Grafana, and exporters of nodes and objects. */
export interface OwnMonitoringProps {
  /**
   * How long Prometheus keeps samples.
   * @default 15d
   */
  readonly retention?: Duration;
  /**
   * Size of its volume.
   * @default 10Gi
   */
  readonly storage?: Bytes;
}

/** Who watches the platform: a Prometheus of its own, or the one that the cluster has already. */
export abstract class Monitoring {
  /** What earlier modules must know of it. */
  abstract readonly prometheus: PrometheusServer;
  /** Whether the definitions of the Prometheus operator come with the platform. */
  abstract readonly bringsDefinitions: boolean;
  /** Namespaces of others, in which objects of ours or addresses that we use may lie. */
  abstract readonly otherNamespaces: readonly string[];

  /** A Prometheus that the platform runs, with Alertmanager, Grafana, and exporters of nodes and objects. */
  static own(props: OwnMonitoringProps = {}): Monitoring {
    const checked = parse(ownSchema, props, 'Monitoring.own');
    return {
      prometheus: OWN_PROMETHEUS,
      bringsDefinitions: true,
      otherNamespaces: [],
      bind: (scope, id, context) => new OwnMonitoring(scope, id, { ...context, ...checked }),
    };
  }

  /** A Prometheus that somebody else runs in the cluster, by a Prometheus operator, and their Grafana. */
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

  abstract bind(scope: Construct, id: string, context: MonitoringContext): ManifestFile;
}

const ownSchema = z.strictObject({
  retention: rules.duration().default('15d'),
  storage: rules.bytes().default('10Gi'),
});
