import { z } from 'zod';
import { rules } from '../definitions/rules';
import { OWNERSHIP_LABELS } from '../kubernetes/labels';
import { NAMESPACES, PLATFORM_NAMESPACE } from '../kubernetes/namespaces';

/** A Prometheus that somebody else runs in the cluster, by a Prometheus operator. */
export interface ExistingMonitoringProps {
  /**
   * Its HTTP API, or that of a query layer before it, as an http or https address without a login. One in the cluster
   * is written `http://<service>.<namespace>.svc:<port>`; any other is an address outside of the cluster.
   */
  readonly address: string;
  /**
   * Port of the pods behind an address in the cluster, which NetworkPolicies go by.
   * @default - the port of the address
   */
  readonly port?: number;
  /** Namespace of its pods, which may scrape the platform's. */
  readonly namespace: string;
  /**
   * Labels of its pods.
   * @default - every pod of the namespace may scrape
   */
  readonly pods?: Readonly<Record<string, string>>;
  /** What every monitor and every rule carries, for its selectors: `{ release: 'kube-prometheus-stack' }`; `{}` where they take all. */
  readonly labels: Readonly<Record<string, string>>;
  /**
   * How dashboards reach its Grafana.
   * @default - ConfigMaps in mlops-platform, labelled as Grafana's chart looks for them
   */
  readonly dashboards?: ExistingDashboards;
}

/** ConfigMaps from which the sidecar of somebody else's Grafana takes dashboards. */
export interface ExistingDashboards {
  /**
   * Namespace of the ConfigMaps, where the sidecar looks into one alone.
   * @default mlops-platform
   */
  readonly namespace?: string;
  /**
   * Labels that the sidecar looks for.
   * @default - `grafana_dashboard: '1'`
   */
  readonly labels?: Readonly<Record<string, string>>;
  /**
   * Annotations of the ConfigMaps, as in `{ grafana_folder: 'MLOps' }`.
   * @default - none
   */
  readonly annotations?: Readonly<Record<string, string>>;
  /**
   * Uid of the data source that the panels ask.
   * @default prometheus
   */
  readonly dataSource?: string;
}

/** Labels of objects in the platform's name. */
const labels = () =>
  rules
    .labels()
    .refine(
      (given) => Object.keys(OWNERSHIP_LABELS).every((key) => !(key in given)),
      `must leave out ${Object.keys(OWNERSHIP_LABELS).join(' and ')}, which say whose an object is`,
    );

const notOurs = `not one of the platform's own namespaces (${NAMESPACES.join(', ')})`;

const dashboardsSchema = z.strictObject({
  namespace: rules.dnsLabel(63).default(PLATFORM_NAMESPACE),
  labels: labels()
    .refine(
      (given) => Object.keys(given).length > 0,
      'must not be empty: the sidecar finds ConfigMaps by a label',
    )
    .default({ grafana_dashboard: '1' }),
  annotations: rules.annotations().default({}),
  dataSource: rules
    .line(40)
    .regex(/^[A-Za-z0-9_-]+$/, "must be the uid of a data source, not its name, as in 'prometheus'")
    .default('prometheus'),
});

/** Checked, with its defaults filled in. */
export const existingMonitoringSchema = z
  .strictObject({
    address: rules
      .address()
      .transform(parsedAddress)
      .refine(({ namespace }) => !isOurs(namespace), `must lead to that Prometheus, ${notOurs}`),
    port: rules.whole(1, 65535).optional(),
    namespace: rules
      .dnsLabel(63)
      .refine((name) => !isOurs(name), `must be where that Prometheus runs, ${notOurs}`),
    pods: rules.labels().default({}),
    labels: labels(),
    dashboards: dashboardsSchema.prefault({}),
  })
  .refine(({ address, port }) => port === undefined || address.namespace !== undefined, {
    path: ['port'],
    error: 'is for an address in the cluster; outside of it, the port stands in the address',
  });

export type ExistingPrometheus = z.output<typeof existingMonitoringSchema>;

/** Whether a namespace is one of the platform's. */
export function isOurs(namespace: string | undefined): boolean {
  return (NAMESPACES as readonly (string | undefined)[]).includes(namespace);
}

/** An address as NetworkPolicies and clients need it. */
function parsedAddress(text: string) {
  const { protocol, hostname, port } = new URL(text);
  return {
    url: text.replace(/\/+$/, ''),
    /** Of the Service, where it is one of the cluster. */
    namespace: /^[^.]+\.([^.]+)\.svc(\.|$)/.exec(hostname)?.[1],
    port: Number(port || (protocol === 'https:' ? 443 : 80)),
  };
}
