import type { Construct } from 'constructs';
import type { Workload } from '../kubernetes/workload';
import type { Alert } from '../observability/alert';
import { type Dashboard, isUp } from '../observability/dashboard';
import type { Observability } from '../observability/observability';
import type { Signal } from '../observability/signal';
import { MINIO_METRICS } from './minio-metrics';

export interface MinIOObservabilityProps {
  readonly observability: Observability;
  readonly server: Workload;
}

/** Declares the scrape, the alerts and the dashboard of MinIO. */
export function minioObservability(scope: Construct, props: MinIOObservabilityProps): void {
  props.observability.watch(scope, {
    system: 'minio',
    scrapes: [
      { workload: props.server, port: 's3', path: '/minio/v2/metrics/cluster', metrics: MINIO_METRICS },
    ],
    alerts: ALERTS,
    dashboard: DASHBOARD,
  });
}

/** Free share of the disk below which an alert fires. */
const LITTLE_SPACE_RATIO = 0.1;
/** Share of requests that end in 5xx above which an alert fires. */
const FAILING_RATIO = 0.05;

const up = isUp('minio', 'MinIO');

const freeRatio: Signal = {
  name: 'Free space',
  description: 'Share of the disk that is free. Without any, no step can store its result.',
  unit: 'percentunit',
  expr: 'min(minio_cluster_capacity_usable_free_bytes / minio_cluster_capacity_usable_total_bytes)',
  as: 'stat',
};

const drivesOffline: Signal = {
  name: 'Drives offline',
  description: 'Disks that MinIO cannot read or write.',
  unit: 'short',
  expr: 'max(minio_cluster_drive_offline_total)',
  as: 'stat',
};

const failingRatio: Signal = {
  name: 'Failing requests',
  description: 'Share of S3 requests that MinIO could not serve (5xx).',
  unit: 'percentunit',
  // `or vector(0)`, because MinIO has no counter of errors before the first error.
  expr: '(sum(rate(minio_s3_requests_5xx_errors_total[5m])) or vector(0)) / sum(rate(minio_s3_requests_total[5m]))',
};

export const storedBytes: Signal = {
  name: 'Stored data',
  description:
    'Bytes in all buckets: collected batches, features, models and logs. MinIO counts them every few minutes.',
  unit: 'bytes',
  expr: 'max(minio_cluster_usage_total_bytes)',
};

export const receivedBytes: Signal = {
  name: 'Received',
  description: 'Bytes a second that clients store.',
  unit: 'Bps',
  expr: 'sum(rate(minio_s3_traffic_received_bytes[$__rate_interval]))',
};

const ALERTS: Alert[] = [
  {
    name: 'MinIODown',
    expr: `${up.expr} == 0`,
    for: '2m',
    severity: 'critical',
    summary: 'MinIO is not reached: no step can read or store data.',
  },
  {
    name: 'MinIOFailing',
    expr: `${failingRatio.expr} > ${FAILING_RATIO}`,
    for: '5m',
    severity: 'critical',
    summary: 'MinIO fails {{ $value | humanizePercentage }} of its requests.',
  },
  {
    name: 'MinIOFull',
    expr: `${freeRatio.expr} < ${LITTLE_SPACE_RATIO}`,
    for: '10m',
    severity: 'critical',
    summary: 'Only {{ $value | humanizePercentage }} of the object store is free.',
  },
  {
    name: 'MinIODriveOffline',
    expr: `${drivesOffline.expr} > 0`,
    for: '5m',
    severity: 'critical',
    summary: '{{ $value }} of the drives of MinIO are offline.',
  },
];

const DASHBOARD: Dashboard = {
  uid: 'mlops-minio',
  title: 'MinIO',
  description: 'The object store: data, models and logs.',
  rows: [
    {
      title: 'Health',
      signals: [
        up,
        freeRatio,
        drivesOffline,
        {
          name: 'Uptime',
          description: 'Time since MinIO started.',
          unit: 's',
          expr: 'min(minio_node_process_uptime_seconds)',
          as: 'stat',
        },
      ],
    },
    {
      title: 'Requests',
      signals: [
        {
          name: 'Requests per second',
          description: 'S3 requests by operation.',
          unit: 'reqps',
          expr: 'sum by (api) (rate(minio_s3_requests_total[$__rate_interval]))',
          by: ['api'],
        },
        failingRatio,
        {
          name: 'Refused logins',
          description: 'Requests a second with a wrong or missing key.',
          unit: 'reqps',
          expr: 'sum(rate(minio_s3_requests_rejected_auth_total[$__rate_interval]))',
        },
        {
          name: 'Requests waiting',
          description: 'Requests that wait for a free slot.',
          unit: 'short',
          expr: 'sum(minio_s3_requests_waiting_total)',
        },
      ],
    },
    {
      title: 'Data',
      signals: [
        storedBytes,
        {
          name: 'Objects',
          description: 'Objects in all buckets.',
          unit: 'short',
          expr: 'max(minio_cluster_usage_object_total)',
        },
        receivedBytes,
        {
          name: 'Sent',
          description: 'Bytes a second that clients read.',
          unit: 'Bps',
          expr: 'sum(rate(minio_s3_traffic_sent_bytes[$__rate_interval]))',
        },
      ],
    },
  ],
};
