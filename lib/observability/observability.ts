import { Construct } from 'constructs';
import {
  PrometheusRule,
  PrometheusRuleSpecGroupsRulesExpr,
  ServiceMonitor,
  ServiceMonitorSpecEndpointsRelabelingsAction as Action,
} from '../../imports/monitoring.coreos.com';
import type { NetworkPolicy } from '../kubernetes/network-policy';
import type { SecretKey } from '../definitions/secret-ref';
import type { Workload } from '../kubernetes/workload';
import { type Alert, alertingRule } from './alert';
import type { Dashboard } from './dashboard';
import { withMatcher } from '../validation/promql';
import { ALERT_LABELS, RECORD_LABELS } from './platform-series';
import { OWN_PROMETHEUS, type PrometheusServer } from './prometheus-server';

/** Metrics that Prometheus fetches from one port of a workload. */
export interface Scrape {
  readonly workload: Workload;
  readonly port: string;
  /**
   * Value of the label `job`, which distinguishes it from the workload's other scrapes.
   * @default - the system's name
   */
  readonly job?: string;
  /** @default /metrics */
  readonly path?: string;
  /** @default 30s */
  readonly interval?: string;
  /**
   * Login for the metrics.
   * @default - none
   */
  readonly basicAuth?: { readonly username: SecretKey; readonly password: SecretKey };
  /** Metrics that it emits. An alert or panel that uses a metric which nobody declares is refused at synth. */
  readonly metrics: readonly string[];
}

/** Pods that Prometheus fetches metrics from, and their port. */
export interface ScrapeTarget {
  readonly networkPolicy: NetworkPolicy;
  readonly port: number;
}

/** What a module declares about one of its systems. */
export interface WatchProps {
  /** As in `app.kubernetes.io/name`. */
  readonly system: string;
  /** @default - none: it pushes, or somebody else scrapes it */
  readonly scrapes?: readonly Scrape[];
  /** Metrics it pushes over OTLP. */
  readonly pushes?: readonly string[];
  /** Recording rules that the alerts use. Each may use those before it. */
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

/**
 * Collects what the modules declare: scrapes, rules, alerts and dashboards. The module monitoring is created last,
 * and makes Prometheus and Grafana from it.
 */
export class Observability {
  private readonly ownDashboards: Dashboard[] = [];
  private readonly ownTargets: ScrapeTarget[] = [];
  private readonly ownClients: NetworkPolicy[] = [];
  private readonly metrics = new Set<string>(BUILT_IN_METRICS);

  /** @param prometheus the Prometheus that watches the platform; by default the platform's own */
  constructor(readonly prometheus: PrometheusServer = OWN_PROMETHEUS) {}

  /** Scrapes, alerts and a dashboard for one system, in the module's own chart. */
  watch(scope: Construct, props: WatchProps): void {
    const watched = new Construct(scope, `watch-${props.system}`);
    for (const scrape of props.scrapes ?? []) this.scrape(watched, props.system, scrape);
    for (const metric of props.pushes ?? []) this.metrics.add(metric);
    const { records = [], alerts = [] } = props;
    this.knows(records.map(({ record }) => record));
    if (records.length + alerts.length > 0) this.rules(watched, props.system, records, alerts);
    if (props.dashboard) this.ownDashboards.push(props.dashboard);
  }

  /** Declares metrics that no scrape of a Workload brings to Prometheus. */
  knows(metrics: readonly string[]): void {
    for (const metric of metrics) this.metrics.add(metric);
  }

  /** Declares pods that a monitor of the caller selects, so that Prometheus may reach them. */
  scrapes(target: ScrapeTarget): void {
    this.ownTargets.push(target);
  }

  /** Every dashboard, in the order of declaration. */
  get dashboards(): readonly Dashboard[] {
    return this.ownDashboards;
  }

  /** Pods that Prometheus must reach. */
  get scrapeTargets(): readonly ScrapeTarget[] {
    return this.ownTargets;
  }

  /** Pods that must reach Prometheus, to push metrics or to query. */
  get prometheusClients(): readonly NetworkPolicy[] {
    return this.ownClients;
  }

  /** Every declared metric. */
  get knownMetrics(): ReadonlySet<string> {
    return this.metrics;
  }

  /** Declares pods that push metrics to Prometheus or query it. */
  reaches(from: NetworkPolicy): void {
    this.ownClients.push(from);
  }

  private scrape(scope: Construct, system: string, scrape: Scrape): void {
    const { workload } = scrape;
    const port = workload.endpoint(scrape.port).port;
    this.scrapes({ networkPolicy: workload.networkPolicy, port });
    this.knows(scrape.metrics);
    new ServiceMonitor(scope, `${workload.name}-${scrape.port}`, {
      metadata: this.metadata(scrape.job ?? workload.name, workload.namespace),
      spec: {
        selector: { matchLabels: workload.selector },
        jobLabel: 'app.kubernetes.io/name',
        endpoints: [
          {
            port: scrape.port,
            path: scrape.path ?? '/metrics',
            interval: scrape.interval ?? '30s',
            relabelings: scrape.job
              ? [{ action: Action.REPLACE, targetLabel: 'job', replacement: scrape.job }]
              : undefined,
            basicAuth: scrape.basicAuth && {
              username: { name: scrape.basicAuth.username.secret.name, key: scrape.basicAuth.username.key },
              password: { name: scrape.basicAuth.password.secret.name, key: scrape.basicAuth.password.key },
            },
          },
        ],
      },
    });
  }

  /** Metadata of a monitor or a rule, with the labels that Prometheus selects by. */
  metadata(name: string, namespace?: string) {
    const { labels } = this.prometheus;
    return { name, namespace, labels: Object.keys(labels).length > 0 ? { ...labels } : undefined };
  }

  /** Records come first: Prometheus evaluates a group in order, and alerts use the records. */
  private rules(
    scope: Construct,
    system: string,
    records: readonly RecordingRule[],
    alerts: readonly Alert[],
  ): void {
    const rules = [
      ...records.map((record) => this.rule(record, RECORD_LABELS)),
      ...alerts.map((alert) => this.rule(alertingRule(alert, system), ALERT_LABELS)),
    ];
    new PrometheusRule(scope, 'alerts', {
      metadata: this.metadata(system),
      spec: { groups: [{ name: system, rules }] },
    });
  }

  private rule<T extends { readonly expr: string; readonly labels?: object }>(rule: T, labels: object) {
    const { prometheus } = this;
    const expr = PrometheusRuleSpecGroupsRulesExpr.fromString(withMatcher(rule.expr, prometheus.matcher));
    return prometheus.shared ? { ...rule, expr, labels: { ...rule.labels, ...labels } } : { ...rule, expr };
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
