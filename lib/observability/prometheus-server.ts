import { MONITORED_NAMESPACE_LABEL } from '../definitions/names';
import { NAMESPACES, PLATFORM_NAMESPACE } from '../kubernetes/namespaces';

/** The Prometheus that monitors the platform, as far as modules need to know it that are created before it. */
export interface PrometheusServer {
  /** URL of its HTTP API, without a slash at the end. */
  readonly url: string;
  /** URL at which it receives metrics over OTLP. @default - it only scrapes */
  readonly otlpUrl?: string;
  /** Labels of every monitor and rule, by which its selectors find them. */
  readonly labels: Readonly<Record<string, string>>;
  /** PromQL matcher of the platform's own series. */
  readonly matcher: string;
  /** Whether somebody else runs it. The platform's series are then known by their label `namespace`. */
  readonly shared: boolean;
}

/** Service, port and pods of the platform's own Prometheus, which the module monitoring creates. */
export const PROMETHEUS = {
  service: 'prometheus',
  port: 9090,
  labels: { 'app.kubernetes.io/name': 'prometheus' },
} as const;

const OWN_URL = `http://${PROMETHEUS.service}.${PLATFORM_NAMESPACE}.svc:${PROMETHEUS.port}`;

/** The platform's own. It selects monitors and rules by their namespaces, and receives Airflow's metrics over OTLP. */
export const OWN_PROMETHEUS: PrometheusServer = {
  url: OWN_URL,
  otlpUrl: `${OWN_URL}/api/v1/otlp/v1/metrics`,
  labels: {},
  // Prometheus sets this label on all series of other namespaces, and on none of the platform's.
  matcher: `${MONITORED_NAMESPACE_LABEL}=""`,
  shared: false,
};

/** Matcher of the platform's series in somebody else's Prometheus. */
export const NAMESPACE_MATCHER = `namespace=~"${NAMESPACES.join('|')}"`;
