import { MONITORED_NAMESPACE_LABEL } from '../definitions/names';
import { NAMESPACES, PLATFORM_NAMESPACE } from '../kubernetes/namespaces';

/** What modules must know of the Prometheus that watches them, before there is one. */
export interface PrometheusServer {
  /** Of its HTTP API, without a slash at the end. */
  readonly url: string;
  /** Where it takes metrics over OTLP. @default - nowhere: it takes only what it scrapes */
  readonly otlpUrl?: string;
  /** On every monitor and rule, so that its selectors find them. */
  readonly labels: Readonly<Record<string, string>>;
  /** In PromQL, what the platform's own series match and those of others do not. */
  readonly matcher: string;
  /** Whether somebody else runs it: then the platform's series are known by their namespace. */
  readonly shared: boolean;
}

/** Where our own Prometheus answers; the module monitoring puts it there. */
export const PROMETHEUS = {
  service: 'prometheus',
  port: 9090,
  labels: { 'app.kubernetes.io/name': 'prometheus' },
} as const;

const OWN_URL = `http://${PROMETHEUS.service}.${PLATFORM_NAMESPACE}.svc:${PROMETHEUS.port}`;

/** Our own: it takes every monitor and rule of the platform's namespaces, and Airflow's metrics over OTLP. */
export const OWN_PROMETHEUS: PrometheusServer = {
  url: OWN_URL,
  otlpUrl: `${OWN_URL}/api/v1/otlp/v1/metrics`,
  labels: {},
  // It gives this label to whatever comes from a namespace of somebody else, and to nothing of ours.
  matcher: `${MONITORED_NAMESPACE_LABEL}=""`,
  shared: false,
};

/** In a Prometheus that knows nothing of us. */
export const NAMESPACE_MATCHER = `namespace=~"${NAMESPACES.join('|')}"`;
