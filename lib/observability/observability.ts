import { Construct } from 'constructs';
import {
  PrometheusRule,
  PrometheusRuleSpecGroupsRulesExpr,
  ServiceMonitor,
} from '../../imports/monitoring.coreos.com';
import type { Endpoint } from '../kubernetes/connection';
import type { NetworkPolicy } from '../kubernetes/network-policy';
import { PLATFORM_NAMESPACE } from '../kubernetes/namespaces';
import type { SecretKey } from '../definitions/secret-ref';
import type { Workload } from '../kubernetes/workload';
import { type Alert, alertingRule } from './alert';
import type { Dashboard } from './dashboard';

/** Metrics that Prometheus fetches from one port of a workload. */
export interface Scrape {
  readonly workload: Workload;
  readonly port: string;
  /**
   * Tells it from the workload's other scrapes, as the label `job`.
   * @default - the system's name
   */
  readonly job?: string;
  /** @default /metrics */
  readonly path?: string;
  /** @default 30s */
  readonly interval?: string;
  /** @default - none asked for */
  readonly basicAuth?: { readonly username: SecretKey; readonly password: SecretKey };
  /** The metrics it is known to emit, for the check that no alert or panel asks for another. */
  readonly metrics: readonly string[];
}

/** Everything that is watched about one system. */
export interface WatchProps {
  /** As in `app.kubernetes.io/name`. */
  readonly system: string;
  /** @default - none: it pushes, or somebody else scrapes it */
  readonly scrapes?: readonly Scrape[];
  /** Metrics it pushes over OTLP. */
  readonly pushes?: readonly string[];
  /** What the alerts stand on, in the order in which each needs the one before. */
  readonly records?: readonly RecordingRule[];
  readonly alerts?: readonly Alert[];
  readonly dashboard?: Dashboard;
}

/** A series that Prometheus computes and keeps. */
export interface RecordingRule {
  /** As `level:metric`: `mlops:feature_psi`. */
  readonly record: string;
  readonly expr: string;
}

/** Where Prometheus answers and takes OTLP; the module monitoring puts it there. */
export const PROMETHEUS = {
  service: 'prometheus',
  port: 9090,
  labels: { 'app.kubernetes.io/name': 'prometheus' },
} as const;

/**
 * How any module says what it measures. Modules come before monitoring in a model's
 * life, so what they say is gathered here and monitoring makes it happen.
 */
export class Observability {
  readonly dashboards: Dashboard[] = [];
  /** Who is scraped, and who pushes: the edges of Prometheus' own NetworkPolicy. */
  readonly scraped: { networkPolicy: NetworkPolicy; port: number }[] = [];
  readonly callers: NetworkPolicy[] = [];
  private readonly metrics = new Set<string>(BUILT_IN_METRICS);

  /** Scrapes, alerts and a dashboard for one system, in the module's own chart. */
  watch(scope: Construct, props: WatchProps): void {
    const watched = new Construct(scope, `watch-${props.system}`);
    for (const scrape of props.scrapes ?? []) this.scrape(watched, props.system, scrape);
    for (const metric of props.pushes ?? []) this.metrics.add(metric);
    this.knows((props.records ?? []).map(({ record }) => record));
    if (props.alerts?.length) rules(watched, props.system, props.records ?? [], props.alerts);
    if (props.dashboard) this.dashboards.push(props.dashboard);
  }

  /** Metrics that come to Prometheus by another way than a workload of ours. */
  knows(metrics: readonly string[]): void {
    for (const metric of metrics) this.metrics.add(metric);
  }

  /** Every metric that something in the platform is known to emit. */
  get knownMetrics(): ReadonlySet<string> {
    return this.metrics;
  }

  /** Prometheus' HTTP API, its OTLP receiver included. */
  prometheus(): Endpoint {
    return {
      host: `${PROMETHEUS.service}.${PLATFORM_NAMESPACE}.svc`,
      port: PROMETHEUS.port,
      open: (from) => this.callers.push(from),
    };
  }

  private scrape(scope: Construct, system: string, scrape: Scrape): void {
    const { workload } = scrape;
    const port = workload.endpoint(scrape.port).port;
    this.scraped.push({ networkPolicy: workload.networkPolicy, port });
    this.knows(scrape.metrics);
    new ServiceMonitor(scope, `${workload.name}-${scrape.port}`, {
      metadata: { name: scrape.job ?? workload.name, namespace: workload.namespace },
      spec: {
        selector: { matchLabels: workload.selector },
        jobLabel: 'app.kubernetes.io/name',
        endpoints: [
          {
            port: scrape.port,
            path: scrape.path ?? '/metrics',
            interval: scrape.interval ?? '30s',
            relabelings: scrape.job ? [{ targetLabel: 'job', replacement: scrape.job }] : undefined,
            basicAuth: scrape.basicAuth && {
              username: { name: scrape.basicAuth.username.secret.name, key: scrape.basicAuth.username.key },
              password: { name: scrape.basicAuth.password.secret.name, key: scrape.basicAuth.password.key },
            },
          },
        ],
      },
    });
  }
}

/** What Prometheus adds by itself to every scrape and every rule. */
const BUILT_IN_METRICS = [
  'up',
  'scrape_duration_seconds',
  'scrape_samples_scraped',
  'ALERTS',
  'ALERTS_FOR_STATE',
];

function rules(
  scope: Construct,
  system: string,
  records: readonly RecordingRule[],
  alerts: readonly Alert[],
): void {
  const asRule = <T extends { expr: string }>(rule: T) => ({
    ...rule,
    expr: PrometheusRuleSpecGroupsRulesExpr.fromString(rule.expr),
  });
  new PrometheusRule(scope, 'alerts', {
    metadata: { name: system },
    spec: {
      groups: [
        {
          name: system,
          rules: [
            ...records.map(asRule),
            ...alerts.map((alert) => asRule({ ...alertingRule(alert, system), expr: alert.expr })),
          ],
        },
      ],
    },
  });
}
