import type { Construct } from 'constructs';
import type { Workload } from '../kubernetes/workload';
import type { Alert } from '../observability/alert';
import { type Dashboard, isUp } from '../observability/dashboard';
import type { Observability, Scrape } from '../observability/observability';
import type { Signal } from '../observability/signal';
import { MLFLOW_METRICS } from './mlflow-metrics';

export interface MLflowObservabilityProps {
  readonly observability: Observability;
  readonly server: Workload;
  /**
   * Login for MLflow's metrics.
   * @default - none
   */
  readonly basicAuth?: Scrape['basicAuth'];
}

/** Declares the scrape, the alerts and the dashboard of MLflow. */
export function mlflowObservability(scope: Construct, props: MLflowObservabilityProps): void {
  props.observability.watch(scope, {
    system: 'mlflow',
    scrapes: [{ workload: props.server, port: 'http', basicAuth: props.basicAuth, metrics: MLFLOW_METRICS }],
    alerts: ALERTS,
    dashboard: DASHBOARD,
  });
}

/** Share of requests that end in 5xx above which an alert fires. */
const FAILING_RATIO = 0.05;
/** 95th percentile of the response time above which an alert fires. */
const SLOW_SECONDS = 5;

const up = isUp('mlflow', 'MLflow');

export const mlflowRequests: Signal = {
  name: 'MLflow requests per second',
  description: 'Requests to tracking, registry and artifacts, by method. Reads are GET, writes POST.',
  unit: 'reqps',
  expr: 'sum by (method) (rate(mlflow_http_request_total[$__rate_interval]))',
  by: ['method'],
};

export const mlflowFailingRatio: Signal = {
  name: 'MLflow failing requests',
  description: 'Share of requests that MLflow could not serve (5xx).',
  unit: 'percentunit',
  // `or vector(0)`, because there is no series with status 5xx before the first failure.
  expr: '(sum(rate(mlflow_http_request_total{status=~"5.."}[5m])) or vector(0)) / sum(rate(mlflow_http_request_total[5m]))',
};

export const mlflowSlowest: Signal = {
  name: 'MLflow 95th percentile',
  description: 'Time within which 95 of 100 requests were answered.',
  unit: 's',
  expr: 'histogram_quantile(0.95, sum by (le) (rate(mlflow_http_request_duration_seconds_bucket[5m])))',
};

const ALERTS: Alert[] = [
  {
    name: 'MLflowDown',
    expr: `${up.expr} == 0`,
    for: '5m',
    severity: 'critical',
    summary: 'MLflow is not reached: training cannot log and nothing can be registered.',
  },
  {
    name: 'MLflowFailing',
    expr: `${mlflowFailingRatio.expr} > ${FAILING_RATIO}`,
    for: '5m',
    severity: 'critical',
    summary: 'MLflow fails {{ $value | humanizePercentage }} of its requests.',
  },
  {
    name: 'MLflowSlow',
    expr: `${mlflowSlowest.expr} > ${SLOW_SECONDS}`,
    for: '15m',
    severity: 'warning',
    summary: 'One in twenty requests to MLflow takes longer than {{ $value | humanizeDuration }}.',
  },
];

const DASHBOARD: Dashboard = {
  uid: 'mlops-mlflow',
  title: 'MLflow',
  description: 'Tracking server and model registry.',
  rows: [
    {
      title: 'Health',
      signals: [
        up,
        {
          name: 'Requests per second now',
          description: 'All requests together.',
          unit: 'reqps',
          expr: 'sum(rate(mlflow_http_request_total[5m]))',
          as: 'stat',
        },
      ],
    },
    {
      title: 'Requests',
      signals: [
        mlflowRequests,
        {
          name: 'Answers per second',
          description: 'Answers by status. 401 and 403 are wrong logins or unknown host names.',
          unit: 'reqps',
          expr: 'sum by (status) (rate(mlflow_http_request_total[$__rate_interval]))',
          by: ['status'],
        },
        mlflowFailingRatio,
        {
          name: 'Exceptions per second',
          description: 'Requests that ended in an exception of the server.',
          unit: 'ops',
          expr: 'sum(rate(mlflow_http_request_exceptions_total[$__rate_interval]))',
        },
      ],
    },
    {
      title: 'Time',
      signals: [
        mlflowSlowest,
        {
          name: 'Mean time',
          description: 'Mean time to answer, by method.',
          unit: 's',
          expr:
            'sum by (method) (rate(mlflow_http_request_duration_seconds_sum[5m])) / ' +
            'sum by (method) (rate(mlflow_http_request_duration_seconds_count[5m]))',
          by: ['method'],
        },
      ],
    },
  ],
};
