import { z } from 'zod';
import { rules } from '../definitions/rules';
import { OWNERSHIP_LABELS } from '../kubernetes/labels';
import { NAMESPACES, PLATFORM_NAMESPACE } from '../kubernetes/namespaces';

/** A Prometheus that somebody else runs in the cluster with the Prometheus operator. */
export interface ExistingMonitoringProps {
  /**
   * URL of its HTTP API, or of a query layer such as Thanos Query: http or https, without a login. A Service of the
   * cluster is written `http://<service>.<namespace>.svc:<port>`. Any other host counts as outside of the cluster.
   */
  readonly address: string;
  /**
   * Port of the pods behind a Service of the cluster, 1 to 65535. NetworkPolicies need the pods' port, which may differ
   * from the Service's.
   * @default - the port of the address
   */
  readonly port?: number;
  /** Namespace of its pods. The NetworkPolicies let these pods scrape the platform's. */
  readonly namespace: string;
  /**
   * Labels of its pods, so that no other pod of the namespace may scrape.
   * @default - every pod of the namespace may scrape
   */
  readonly pods?: Readonly<Record<string, string>>;
  /**
   * Labels of every monitor and every rule, by which its selectors find them, as in
   * `{ release: 'kube-prometheus-stack' }`; `{}` if the selectors are empty.
   */
  readonly labels: Readonly<Record<string, string>>;
  /**
   * ConfigMaps by which its Grafana gets the dashboards.
   * @default - ConfigMaps in mlops-platform, labelled as Grafana's chart looks for them
   */
  readonly dashboards?: ExistingDashboards;
}

/** ConfigMaps from which the sidecar of somebody else's Grafana takes dashboards. */
export interface ExistingDashboards {
  /**
   * Namespace of the ConfigMaps. Set it if the sidecar watches only one namespace.
   * @default mlops-platform
   */
  readonly namespace?: string;
  /**
   * Labels by which the sidecar finds the ConfigMaps.
   * @default - `grafana_dashboard: '1'`
   */
  readonly labels?: Readonly<Record<string, string>>;
  /**
   * Annotations of the ConfigMaps, as in `{ grafana_folder: 'MLOps' }`.
   * @default - none
   */
  readonly annotations?: Readonly<Record<string, string>>;
  /**
   * Uid of Grafana's data source for the panels.
   * @default prometheus
   */
  readonly dataSource?: string;
}

/** Labels that an object of the platform may get from a definition. */
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

/** Checks the props and fills in their defaults. */
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

/** The parts of an address that clients and NetworkPolicies need. */
function parsedAddress(text: string) {
  const { protocol, hostname, port } = new URL(text);
  return {
    url: text.replace(/\/+$/, ''),
    /** Namespace of the Service; undefined outside of the cluster. */
    namespace: /^[^.]+\.([^.]+)\.svc(\.|$)/.exec(hostname)?.[1],
    port: Number(port || (protocol === 'https:' ? 443 : 80)),
  };
}
