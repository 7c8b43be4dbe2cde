import { Construct } from 'constructs';
import { NOBODY } from '../kubernetes/pod-defaults';
import type { EnvValue } from '../kubernetes/connection';
import { images } from '../kubernetes/images';
import { httpProbe } from '../kubernetes/probe';
import { ConfigFiles } from '../kubernetes/volume';
import { Workload } from '../kubernetes/workload';

/**
 * The StatsD exporter, from which any Prometheus can scrape Airflow's metrics. Airflow sends them in UDP packets.
 * docs/decisions/0010 explains why it does not use OTLP.
 */
export class AirflowStatsd extends Construct {
  readonly exporter: Workload;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    const mapping = new ConfigFiles(this, 'mapping', {
      name: 'airflow-statsd',
      files: { 'mapping.yaml': MAPPING },
    });
    this.exporter = new Workload(this, 'exporter', {
      name: 'airflow-statsd',
      system: 'airflow',
      component: 'statsd',
      image: images.statsdExporter,
      user: NOBODY,
      // With two exporters at a time, each would get only a part of the packets.
      strategy: 'Recreate',
      args: [
        '--statsd.mapping-config=/mapping/mapping.yaml',
        '--statsd.listen-udp=:9125',
        '--statsd.listen-tcp=',
        '--web.listen-address=:9102',
      ],
      ports: { metrics: 9102, statsd: 9125 },
      udpPorts: ['statsd'],
      cpu: { request: '10m' },
      memory: { request: '32Mi', limit: '128Mi' },
      mounts: [mapping.mountAt('/mapping')],
      readinessProbe: httpProbe('/-/ready', 'metrics', { periodSeconds: 5 }),
      livenessProbe: httpProbe('/-/healthy', 'metrics', { periodSeconds: 20, failureThreshold: 5 }),
    });
  }

  /** Environment variables by which Airflow sends its metrics to the exporter. */
  get settings(): Record<string, EnvValue> {
    const { host, port } = this.exporter.endpoint('statsd');
    return {
      AIRFLOW__METRICS__STATSD_HOST: host,
      // Airflow then appends the labels to the name, in InfluxDB's notation. Otherwise it drops them.
      AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED: 'True',
      AIRFLOW__METRICS__STATSD_ON: 'True',
      AIRFLOW__METRICS__STATSD_PORT: String(port),
      AIRFLOW__METRICS__STATSD_PREFIX: 'airflow',
    };
  }
}

/**
 * Names the metrics as over OTLP. Durations are in seconds, to which the exporter converts them. A gauge that was not
 * set for ten minutes is removed, because its program has ended.
 */
const MAPPING = `mappings:
  - match: airflow\\.(.+)
    match_type: regex
    match_metric_type: counter
    name: airflow_\${1}_total
  - match: airflow\\.(.+)
    match_type: regex
    match_metric_type: gauge
    name: airflow_\${1}
    ttl: 10m
  - match: airflow\\.(.+)
    match_type: regex
    match_metric_type: observer
    observer_type: summary
    name: airflow_\${1}_seconds
`;
