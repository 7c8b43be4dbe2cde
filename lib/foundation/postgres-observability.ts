import type { Construct } from 'constructs';
import type { Connection } from '../kubernetes/connection';
import { images } from '../kubernetes/images';
import { httpProbe } from '../kubernetes/probe';
import { NOBODY } from '../kubernetes/pod-defaults';
import { Workload } from '../kubernetes/workload';
import type { Alert } from '../observability/alert';
import { type Dashboard, isUp } from '../observability/dashboard';
import type { Observability } from '../observability/observability';
import type { Signal } from '../observability/signal';
import { POSTGRES_METRICS } from './postgres-metrics';

export interface PostgresObservabilityProps {
  readonly observability: Observability;
  readonly database: { monitoringClient(): Connection };
}

/** Adds an exporter for Postgres, and declares its scrape, alerts and dashboard. */
export function postgresObservability(scope: Construct, props: PostgresObservabilityProps): void {
  const exporter = new Workload(scope, 'exporter', {
    name: 'postgres-exporter',
    system: 'postgres',
    component: 'exporter',
    image: images.postgresExporter,
    user: NOBODY,
    ports: { metrics: 9187 },
    env: {
      DATA_SOURCE_URI: '$(PGHOST):$(PGPORT)/$(PGDATABASE)?sslmode=disable',
      DATA_SOURCE_USER: '$(PGUSER)',
      DATA_SOURCE_PASS: '$(PGPASSWORD)',
    },
    cpu: { request: '10m' },
    memory: { request: '32Mi', limit: '128Mi' },
    // Not /metrics, because that would query Postgres at each probe.
    readinessProbe: httpProbe('/', 'metrics', { periodSeconds: 10 }),
    livenessProbe: httpProbe('/', 'metrics', { periodSeconds: 20, failureThreshold: 5 }),
  });
  exporter.uses(props.database.monitoringClient());
  props.observability.watch(scope, {
    system: 'postgres',
    scrapes: [{ workload: exporter, port: 'metrics', metrics: POSTGRES_METRICS }],
    alerts: ALERTS,
    dashboard: DASHBOARD,
  });
}

/** Share of max_connections in use above which an alert fires. */
const CONNECTIONS_FULL_RATIO = 0.8;
/** Age of an open transaction above which an alert fires. */
const LONG_TRANSACTION_SECONDS = 30 * 60;

const exporterUp = isUp('postgres', 'Exporter');

const postgresUp: Signal = {
  name: 'Postgres',
  description: 'Whether the exporter can log in to Postgres.',
  unit: 'bool',
  expr: 'min(pg_up)',
  as: 'stat',
};

const connectionsRatio: Signal = {
  name: 'Connections in use',
  description: 'Open connections as a share of max_connections. At 100 % every new client is refused.',
  unit: 'percentunit',
  expr: 'sum(pg_stat_database_numbackends) / max(pg_settings_max_connections)',
  as: 'stat',
};

const longestTransaction: Signal = {
  name: 'Longest transaction',
  description:
    'Age of the oldest open transaction of each database. An old one holds locks and keeps dead rows.',
  unit: 's',
  expr: 'max by (datname) (pg_stat_activity_max_tx_duration{backend_type="client backend", state!="idle"})',
  by: ['datname'],
};

const deadlocks: Signal = {
  name: 'Deadlocks',
  description: 'Transactions that Postgres cancelled because they waited for each other, in 15 minutes.',
  unit: 'short',
  expr: 'sum by (datname) (increase(pg_stat_database_deadlocks[15m]))',
  by: ['datname'],
};

const ALERTS: Alert[] = [
  {
    name: 'PostgresDown',
    expr: `${postgresUp.expr} == 0`,
    for: '2m',
    severity: 'critical',
    summary: 'Postgres answers no login: Airflow and MLflow stand still.',
  },
  {
    name: 'PostgresExporterDown',
    expr: `${exporterUp.expr} == 0`,
    for: '5m',
    severity: 'warning',
    summary: 'The Postgres exporter is not scraped: nothing is known about Postgres.',
  },
  {
    name: 'PostgresConnectionsFull',
    expr: `${connectionsRatio.expr} > ${CONNECTIONS_FULL_RATIO}`,
    for: '5m',
    severity: 'warning',
    summary: '{{ $value | humanizePercentage }} of the connections to Postgres are in use.',
  },
  {
    name: 'PostgresLongTransaction',
    expr: `${longestTransaction.expr} > ${LONG_TRANSACTION_SECONDS}`,
    for: '5m',
    severity: 'warning',
    summary: 'A transaction in {{ $labels.datname }} has been open for {{ $value | humanizeDuration }}.',
  },
  {
    name: 'PostgresDeadlocks',
    expr: `${deadlocks.expr} > 0`,
    for: '1m',
    severity: 'warning',
    summary: 'Postgres cancelled transactions in {{ $labels.datname }} that waited for each other.',
  },
];

const DASHBOARD: Dashboard = {
  uid: 'mlops-postgres',
  title: 'Postgres',
  description: 'The metadata of Airflow and MLflow.',
  rows: [
    {
      title: 'Health',
      signals: [postgresUp, exporterUp, connectionsRatio],
    },
    {
      title: 'Work',
      signals: [
        {
          name: 'Transactions per second',
          description: 'Committed transactions of each database.',
          unit: 'ops',
          expr: 'sum by (datname) (rate(pg_stat_database_xact_commit[$__rate_interval]))',
          by: ['datname'],
        },
        {
          name: 'Rollbacks per second',
          description: 'Transactions of each database that were given up.',
          unit: 'ops',
          expr: 'sum by (datname) (rate(pg_stat_database_xact_rollback[$__rate_interval]))',
          by: ['datname'],
        },
        {
          name: 'Connections',
          description: 'Clients connected to each database.',
          unit: 'short',
          expr: 'sum by (datname) (pg_stat_database_numbackends)',
          by: ['datname'],
        },
        longestTransaction,
        deadlocks,
        {
          name: 'Read from memory',
          description:
            'Share of blocks that were found in shared buffers. A lasting fall means that they are too small.',
          unit: 'percentunit',
          expr:
            'sum(rate(pg_stat_database_blks_hit[$__rate_interval])) / ' +
            '(sum(rate(pg_stat_database_blks_hit[$__rate_interval])) + sum(rate(pg_stat_database_blks_read[$__rate_interval])))',
        },
      ],
    },
    {
      title: 'Size',
      signals: [
        {
          name: 'Database size',
          description: 'Bytes on disk of each database.',
          unit: 'bytes',
          expr: 'max by (datname) (pg_database_size_bytes)',
          by: ['datname'],
        },
        {
          name: 'Write-ahead log size',
          description: 'Bytes on disk of the write-ahead log.',
          unit: 'bytes',
          expr: 'max(pg_wal_size_bytes)',
        },
      ],
    },
  ],
};
