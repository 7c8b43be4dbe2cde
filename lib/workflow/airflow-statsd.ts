import { Construct } from 'constructs';
import { NOBODY } from '../kubernetes/pod-defaults';
import type { EnvValue } from '../kubernetes/connection';
import { images } from '../kubernetes/images';
import { httpProbe } from '../kubernetes/probe';
import { ConfigFiles } from '../kubernetes/volume';
import { Workload } from '../kubernetes/workload';

/**
 * Where Airflow's metrics are scraped: it sends StatsD, in UDP packets, and the exporter keeps them for any
 * Prometheus. docs/decisions/0010 says why not OTLP.
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
      // One exporter counts for everybody: two at a time would each have half of it.
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

  /** What makes Airflow send. */
  get settings(): Record<string, EnvValue> {
    const { host, port } = this.exporter.endpoint('statsd');
    return {
      AIRFLOW__METRICS__STATSD_HOST: host,
      // Labels ride in the name, as InfluxDB spells them; without, they are lost.
      AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED: 'True',
      AIRFLOW__METRICS__STATSD_ON: 'True',
      AIRFLOW__METRICS__STATSD_PORT: String(port),
      AIRFLOW__METRICS__STATSD_PREFIX: 'airflow',
    };
  }
}

/**
 * Names as OTLP would have them, but for durations, which StatsD's exporter turns into seconds. A gauge that nobody
 * sets any more is a program that is gone.
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
