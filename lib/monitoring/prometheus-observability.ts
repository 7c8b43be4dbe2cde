import { Construct } from 'constructs';
import { ServiceMonitor } from '../../imports/monitoring.coreos.com';
import type { Workload } from '../kubernetes/workload';
import type { Alert } from '../observability/alert';
import { type Dashboard, isUp } from '../observability/dashboard';
import type { Observability } from '../observability/observability';
import type { Signal } from '../observability/signal';
import { ALERTMANAGER_METRICS, OPERATOR_METRICS, PROMETHEUS_METRICS } from './prometheus-metrics';

export interface PrometheusObservabilityProps {
  readonly observability: Observability;
  readonly operator: Workload;
}

/** Declares the scrapes, the alerts and the dashboard of Prometheus, Alertmanager and their operator. */
export function prometheusObservability(scope: Construct, props: PrometheusObservabilityProps): void {
  const { observability, operator } = props;
  // The operator makes their pods, so that there is no Workload to scrape.
  const monitors = new Construct(scope, 'monitors');
  monitor(monitors, 'prometheus');
  monitor(monitors, 'alertmanager');
  observability.knows([...PROMETHEUS_METRICS, ...ALERTMANAGER_METRICS]);
  observability.watch(scope, {
    system: 'prometheus',
    scrapes: [{ workload: operator, port: 'http', metrics: OPERATOR_METRICS }],
    alerts: ALERTS,
    dashboard: DASHBOARD,
  });
}

function monitor(scope: Construct, system: string): void {
  new ServiceMonitor(scope, system, {
    metadata: { name: system },
    spec: {
      selector: {
        matchLabels: { 'app.kubernetes.io/name': system, 'app.kubernetes.io/component': 'server' },
      },
      jobLabel: 'app.kubernetes.io/name',
      endpoints: [{ port: 'web', path: '/metrics', interval: '30s' }],
    },
  });
}

const prometheusUp = isUp('prometheus', 'Prometheus');
const alertmanagerUp = isUp('alertmanager', 'Alertmanager');
const operatorUp = isUp('prometheus-operator', 'Operator');

const configLoaded: Signal = {
  name: 'Configuration',
  description: 'Whether Prometheus and Alertmanager run with the configuration that the operator last wrote.',
  unit: 'bool',
  expr: 'min(prometheus_config_last_reload_successful) * min(alertmanager_config_last_reload_successful)',
  as: 'stat',
};

const ruleFailures: Signal = {
  name: 'Failing rules',
  description: 'Evaluations of rules that failed in 5 minutes. An alert of such a rule never fires.',
  unit: 'short',
  expr: 'sum by (rule_group) (increase(prometheus_rule_evaluation_failures_total[5m]))',
  by: ['rule_group'],
};

const notificationFailures: Signal = {
  name: 'Failing notifications',
  description: 'Messages to people in 15 minutes that Alertmanager could not deliver.',
  unit: 'short',
  expr: 'sum by (integration) (increase(alertmanager_notifications_failed_total[15m]))',
  by: ['integration'],
};

const reconcileErrors: Signal = {
  name: 'Failing reconciliations',
  description: 'Times in 15 minutes that the operator could not bring about what was asked of it.',
  unit: 'short',
  expr: 'sum by (controller) (increase(prometheus_operator_reconcile_errors_total[15m]))',
  by: ['controller'],
};

// There is no alert for Prometheus itself being down, because Prometheus could not evaluate it.
const ALERTS: Alert[] = [
  {
    name: 'AlertmanagerDown',
    expr: `${alertmanagerUp.expr} == 0`,
    for: '5m',
    severity: 'critical',
    summary: 'Alertmanager is not reached: alerts reach nobody.',
  },
  {
    name: 'AlertmanagerNotificationsFailing',
    expr: `${notificationFailures.expr} > 0`,
    for: '5m',
    severity: 'critical',
    summary: 'Alertmanager cannot deliver messages by {{ $labels.integration }}.',
  },
  {
    name: 'PrometheusConfigurationRefused',
    expr: `${configLoaded.expr} == 0`,
    for: '10m',
    severity: 'critical',
    summary: 'Prometheus or Alertmanager refused its new configuration and runs with the old one.',
  },
  {
    name: 'PrometheusRulesFailing',
    expr: `${ruleFailures.expr} > 0`,
    for: '10m',
    severity: 'warning',
    summary: 'Rules of {{ $labels.rule_group }} cannot be evaluated; their alerts never fire.',
  },
  {
    name: 'PrometheusOperatorFailing',
    expr: `(${operatorUp.expr} == 0) or (${reconcileErrors.expr} > 0)`,
    for: '15m',
    severity: 'warning',
    summary: 'The Prometheus operator is down or fails: changes of monitors and rules are not picked up.',
  },
];

const DASHBOARD: Dashboard = {
  uid: 'mlops-prometheus',
  title: 'Prometheus',
  description: 'Those who watch: Prometheus, Alertmanager and their operator.',
  rows: [
    {
      title: 'Health',
      signals: [
        prometheusUp,
        alertmanagerUp,
        operatorUp,
        configLoaded,
        {
          name: 'Refused objects',
          description: 'Monitors and rules that the operator refused as invalid.',
          unit: 'short',
          expr: 'sum(prometheus_operator_managed_resources{state="rejected"}) or vector(0)',
          as: 'stat',
        },
      ],
    },
    {
      title: 'Measuring',
      signals: [
        {
          name: 'Targets down',
          description: 'Pods that Prometheus should scrape and cannot.',
          unit: 'short',
          expr: 'count by (job) (up == 0)',
          by: ['job'],
        },
        {
          name: 'Samples per second',
          description: 'Values stored.',
          unit: 'ops',
          expr: 'sum(rate(prometheus_tsdb_head_samples_appended_total[$__rate_interval]))',
        },
        {
          name: 'Series',
          description: 'Series in memory. Memory grows with them.',
          unit: 'short',
          expr: 'max(prometheus_tsdb_head_series)',
        },
        {
          name: 'Storage',
          description: 'Bytes on disk: finished blocks and the write-ahead log.',
          unit: 'bytes',
          expr: 'max(prometheus_tsdb_storage_blocks_bytes) + max(prometheus_tsdb_wal_storage_size_bytes)',
        },
      ],
    },
    {
      title: 'Alerting',
      signals: [
        {
          name: 'Firing alerts',
          description: 'Alerts that hold now, by system.',
          unit: 'short',
          expr: 'count by (system) (ALERTS{alertstate="firing"})',
          by: ['system'],
        },
        ruleFailures,
        notificationFailures,
        reconcileErrors,
      ],
    },
  ],
};
