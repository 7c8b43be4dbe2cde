import type { Construct } from 'constructs';
import type { Workload } from '../kubernetes/workload';
import type { Alert } from '../observability/alert';
import { type Dashboard, isUp } from '../observability/dashboard';
import type { Observability } from '../observability/observability';
import type { Signal } from '../observability/signal';
import { METRICS } from '../definitions/names';
import { MODEL_SYNC_METRICS } from './model-sync-metrics';
import { TRITON_METRICS } from './triton-metrics';

export interface TritonObservabilityProps {
  readonly observability: Observability;
  readonly server: Workload;
}

/** Declares the scrapes, the alerts and the dashboard of Triton and its sidecar. */
export function tritonObservability(scope: Construct, props: TritonObservabilityProps): void {
  props.observability.watch(scope, {
    system: 'triton',
    scrapes: [
      { workload: props.server, port: 'metrics', metrics: TRITON_METRICS },
      {
        workload: props.server,
        port: 'status',
        job: 'triton-models',
        interval: '15s',
        metrics: MODEL_SYNC_METRICS,
      },
    ],
    alerts: ALERTS,
    dashboard: DASHBOARD,
  });
}

/** Share of requests that end in an error above which an alert fires. */
const FAILING_RATIO = 0.05;
/** Mean time of a request above which an alert fires. */
const SLOW_SECONDS = 1;
/** Time since a replica last read what it should serve, after which an alert fires. */
const SYNC_SECONDS = 300;
/** Number of waiting requests of a model above which an alert fires. */
const QUEUE_LENGTH = 100;

/** Selects the models that are chosen in the dashboard's variable. */
const CHOSEN = '{model=~"$model"}';

const up = isUp('triton', 'Triton');

const requests = (models: string): Signal => ({
  name: 'Requests per second',
  description: 'Answered requests by model and version. A batch counts as one.',
  unit: 'reqps',
  expr: `sum by (model, version) (rate(nv_inference_request_success${models}[5m]))`,
  by: ['model', 'version'],
});

const failingRatio = (models: string): Signal => ({
  name: 'Failing requests',
  description: 'Share of requests that ended in an error.',
  unit: 'percentunit',
  expr:
    `sum by (model, version) (rate(nv_inference_request_failure${models}[5m])) / ` +
    `(sum by (model, version) (rate(nv_inference_request_success${models}[5m])) + ` +
    `sum by (model, version) (rate(nv_inference_request_failure${models}[5m])))`,
  by: ['model', 'version'],
});

const meanSeconds = (models: string): Signal => ({
  name: 'Mean time',
  description: 'Mean time from receiving a request to its answer, waiting included.',
  unit: 's',
  expr: `${perRequest('nv_inference_request_duration_us', models)} / 1e6`,
  by: ['model', 'version'],
});

const queueLength = (models: string): Signal => ({
  name: 'Requests waiting',
  description:
    'Requests that wait for a free instance of their model. A growing number is the first sign that Triton is too small.',
  unit: 'short',
  expr: `sum by (model, version) (nv_inference_pending_request_count${models})`,
  by: ['model', 'version'],
});

const gpuMemoryRatio: Signal = {
  name: 'GPU memory in use',
  description: 'Share of the memory of each GPU that Triton sees, whoever uses it.',
  unit: 'percentunit',
  expr: 'max by (gpu_uuid) (nv_gpu_memory_used_bytes / nv_gpu_memory_total_bytes)',
  by: ['gpu_uuid'],
};

export const predictionRequests = requests('');
export const predictionSeconds = meanSeconds('');
export const predictionFailures = failingRatio('');

const ALERTS: Alert[] = [
  {
    name: 'TritonDown',
    expr: `${up.expr} == 0`,
    for: '2m',
    severity: 'critical',
    summary: 'No Triton server is reached: there are no predictions.',
  },
  {
    name: 'ModelSyncFailing',
    expr: `time() - min by (pod) (${METRICS.syncLastSuccess}) > ${SYNC_SECONDS}`,
    for: '2m',
    severity: 'warning',
    summary:
      '{{ $labels.pod }} has not read for {{ $value | humanizeDuration }} what it should serve; it goes on serving what it has.',
  },
  {
    name: 'ModelNotServed',
    expr: `max by (pod, model) (${METRICS.modelWantedVersion}) != max by (pod, model) (${METRICS.modelServingVersion})`,
    for: '10m',
    severity: 'critical',
    summary: '{{ $labels.pod }} does not serve the version of {{ $labels.model }} that it should.',
  },
  {
    name: 'TritonFailing',
    expr: `${failingRatio('').expr} > ${FAILING_RATIO}`,
    for: '5m',
    severity: 'critical',
    summary:
      'Triton fails {{ $value | humanizePercentage }} of the requests for {{ $labels.model }} version {{ $labels.version }}.',
  },
  {
    name: 'TritonSlow',
    expr: `${meanSeconds('').expr} > ${SLOW_SECONDS}`,
    for: '10m',
    severity: 'warning',
    summary:
      'A prediction of {{ $labels.model }} version {{ $labels.version }} takes {{ $value | humanizeDuration }}.',
  },
  {
    name: 'TritonQueueLong',
    expr: `${queueLength('').expr} > ${QUEUE_LENGTH}`,
    for: '5m',
    severity: 'warning',
    summary: '{{ $value }} requests wait for {{ $labels.model }} version {{ $labels.version }}.',
  },
];

const DASHBOARD: Dashboard = {
  uid: 'mlops-triton',
  title: 'Triton',
  description: 'Predictions, by model and version.',
  variables: [{ name: 'model', label: 'Model', metric: 'nv_inference_request_success', of: 'model' }],
  rows: [
    {
      title: 'Health',
      signals: [
        up,
        {
          name: 'Models loaded',
          description: 'Models of which at least one version is loaded.',
          unit: 'short',
          expr: 'count(count by (model) (nv_inference_request_success)) or vector(0)',
          as: 'stat',
        },
      ],
    },
    {
      title: 'Requests',
      signals: [requests(CHOSEN), failingRatio(CHOSEN)],
    },
    {
      title: 'Time',
      signals: [
        meanSeconds(CHOSEN),
        {
          name: '99th percentile',
          description:
            'Time within which Triton answered 99 of 100 requests, as the slowest server measured it.',
          unit: 's',
          expr: 'max by (model, version) (nv_inference_request_summary_us{model=~"$model", quantile="0.99"}) / 1e6',
          by: ['model', 'version'],
        },
        {
          name: 'Waiting time',
          description: 'Part of the mean time that a request waits before it is computed.',
          unit: 's',
          expr: `${perRequest('nv_inference_queue_duration_us', CHOSEN)} / 1e6`,
          by: ['model', 'version'],
        },
        {
          name: 'Computing time',
          description: 'Part of the mean time in which the model itself computes.',
          unit: 's',
          expr: `${perRequest('nv_inference_compute_infer_duration_us', CHOSEN)} / 1e6`,
          by: ['model', 'version'],
        },
      ],
    },
    {
      title: 'Load',
      signals: [
        queueLength(CHOSEN),
        {
          name: 'Batch size',
          description: 'Predictions computed at once. At 1, batching gains nothing.',
          unit: 'short',
          expr:
            `sum by (model, version) (rate(nv_inference_count${CHOSEN}[5m])) / ` +
            `sum by (model, version) (rate(nv_inference_exec_count${CHOSEN}[5m]))`,
          by: ['model', 'version'],
        },
        {
          name: 'GPU in use',
          description: 'Share of the time in which each GPU computes.',
          unit: 'percentunit',
          expr: 'max by (gpu_uuid) (nv_gpu_utilization)',
          by: ['gpu_uuid'],
        },
        gpuMemoryRatio,
      ],
    },
  ],
};

/** Mean microseconds that a request spends in one phase. */
function perRequest(metric: string, models: string): string {
  return (
    `sum by (model, version) (rate(${metric}${models}[5m])) / ` +
    `sum by (model, version) (rate(nv_inference_request_success${models}[5m]))`
  );
}
