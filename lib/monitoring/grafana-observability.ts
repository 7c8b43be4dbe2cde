import type { Construct } from 'constructs';
import type { Workload } from '../kubernetes/workload';
import type { Alert } from '../observability/alert';
import { type Dashboard, isUp } from '../observability/dashboard';
import type { Observability } from '../observability/observability';
import type { Signal } from '../observability/signal';
import { GRAFANA_METRICS } from './grafana-metrics';

export interface GrafanaObservabilityProps {
  readonly observability: Observability;
  readonly server: Workload;
}

/** Declares the scrape and the alerts of Grafana. */
export function grafanaObservability(scope: Construct, props: GrafanaObservabilityProps): void {
  props.observability.watch(scope, {
    system: 'grafana',
    scrapes: [{ workload: props.server, port: 'http', metrics: GRAFANA_METRICS }],
    alerts: ALERTS,
  });
}

/** Share of requests that end in 5xx above which an alert fires. */
const FAILING_RATIO = 0.1;

const up = isUp('grafana', 'Grafana');

const failingRatio: Signal = {
  name: 'Failing requests',
  description: 'Share of requests that Grafana could not serve (5xx).',
  unit: 'percentunit',
  expr:
    '(sum(rate(grafana_http_request_duration_seconds_count{status_code=~"5.."}[5m])) or vector(0)) / ' +
    'sum(rate(grafana_http_request_duration_seconds_count[5m]))',
};

const ALERTS: Alert[] = [
  {
    name: 'GrafanaDown',
    expr: `${up.expr} == 0`,
    for: '10m',
    severity: 'warning',
    summary: 'Grafana is not reached: the dashboards cannot be seen.',
  },
  {
    name: 'GrafanaFailing',
    expr: `${failingRatio.expr} > ${FAILING_RATIO}`,
    for: '10m',
    severity: 'warning',
    summary: 'Grafana fails {{ $value | humanizePercentage }} of its requests.',
  },
];

/** Not declared with the alerts, because Grafana needs the list of all dashboards before it can be watched itself. */
export const grafanaDashboard: Dashboard = {
  uid: 'mlops-grafana',
  title: 'Grafana',
  description: 'The pages that show the rest.',
  rows: [
    {
      title: 'Health',
      signals: [
        up,
        {
          name: 'Dashboards',
          description: 'Dashboards that Grafana has loaded.',
          unit: 'short',
          expr: 'max(grafana_stat_totals_dashboard)',
          as: 'stat',
        },
      ],
    },
    {
      title: 'Requests',
      signals: [
        {
          name: 'Requests per second',
          description: 'Requests by status.',
          unit: 'reqps',
          expr: 'sum by (status_code) (rate(grafana_http_request_duration_seconds_count[$__rate_interval]))',
          by: ['status_code'],
        },
        failingRatio,
        {
          name: '95th percentile',
          description: 'Time within which 95 of 100 requests were answered.',
          unit: 's',
          expr: 'histogram_quantile(0.95, sum by (le) (rate(grafana_http_request_duration_seconds_bucket[5m])))',
        },
        {
          name: 'Queries per second',
          description: 'Queries to Prometheus, by answer.',
          unit: 'reqps',
          expr: 'sum by (code) (rate(grafana_datasource_request_total[$__rate_interval]))',
          by: ['code'],
        },
      ],
    },
  ],
};
