import { k8s } from 'cdk8s-plus-28';
import { Construct } from 'constructs';
import {
  Alertmanager,
  AlertmanagerSpecResourcesLimits,
  AlertmanagerSpecResourcesRequests,
  AlertmanagerSpecStorageVolumeClaimTemplateSpecResourcesRequests,
  Prometheus as PrometheusResource,
  PrometheusSpecAlertingAlertmanagersPort,
  PrometheusSpecExcludedFromEnforcementGroup as Group,
  PrometheusSpecExcludedFromEnforcementResource as Resource,
  PrometheusSpecResourcesLimits,
  PrometheusSpecResourcesRequests,
  PrometheusSpecStorageVolumeClaimTemplateSpecResourcesRequests,
} from '../../imports/monitoring.coreos.com';
import { NetworkPolicy } from '../kubernetes/network-policy';
import { images } from '../kubernetes/images';
import { MONITORED_LABEL } from '../kubernetes/labels';
import { MONITORED_NAMESPACE_LABEL } from '../definitions/names';
import { NOBODY, restrictedPod } from '../kubernetes/pod-defaults';
import type { Bytes } from '../definitions/quantity';
import { ServiceAccount } from '../kubernetes/service-account';
import { NAMESPACES, PLATFORM_NAMESPACE } from '../kubernetes/namespaces';
import type { Observability } from '../observability/observability';
import { PROMETHEUS } from '../observability/prometheus-server';

export interface PrometheusProps {
  readonly observability: Observability;

  /**
   * Port of node-exporter on the nodes' own addresses.
   * @default - there is no node-exporter
   */
  readonly nodeExporterPort?: number;

  /**
   * How long samples are kept, as Prometheus writes it.
   * @default 15d
   */
  readonly retention?: string;

  /** @default 10Gi */
  readonly storage?: Bytes;

  /** @default - the cluster's default storage class */
  readonly storageClass?: string;

  /** @default - 512Mi, at most 2Gi */
  readonly memory?: { readonly request: Bytes; readonly limit: Bytes };
}

const PODS = { ...PROMETHEUS.labels, 'app.kubernetes.io/component': 'server' };
const ALERTMANAGER_PODS = {
  'app.kubernetes.io/name': 'alertmanager',
  'app.kubernetes.io/component': 'server',
};
const ALERTMANAGER_PORT = 9093;

const MONITORED = { matchLabels: { [MONITORED_LABEL]: 'true' } };

/** Limits monitors and rules of other namespaces to the pods and the series of their own namespace. */
const WHAT_OTHERS_MAY = {
  // Set on every series of their scrapes, and added as a matcher to every selector of their rules.
  enforcedNamespaceLabel: MONITORED_NAMESPACE_LABEL,
  excludedFromEnforcement: NAMESPACES.flatMap((namespace) =>
    [
      Resource.PODMONITORS,
      Resource.PROMETHEUSRULES,
      Resource.SERVICEMONITORS,
      // The group is the default, written out: the API server fills it in, and would then differ from the file.
    ].map((resource) => ({ group: Group.MONITORING_PERIOD_COREOS_PERIOD_COM, resource, namespace })),
  ),
  // A monitor finds targets only in its own namespace, and cannot read Prometheus' files, such as its token.
  ignoreNamespaceSelectors: true,
  arbitraryFsAccessThroughSMs: { deny: true },
  // Samples of one scrape. A target has more only where a label has too many values; two such fill the memory.
  enforcedSampleLimit: 200_000,
};

/** The resources from which the operator runs Prometheus and Alertmanager, and their NetworkPolicies and Services. */
export class Prometheus extends Construct {
  readonly networkPolicy: NetworkPolicy;
  readonly alertmanagerNetworkPolicy: NetworkPolicy;

  constructor(
    scope: Construct,
    id: string,
    private readonly props: PrometheusProps,
  ) {
    super(scope, id);
    this.networkPolicy = new NetworkPolicy(this, 'network-policy', {
      name: 'prometheus',
      namespace: PLATFORM_NAMESPACE,
      pods: PODS,
    });
    this.alertmanagerNetworkPolicy = new NetworkPolicy(this, 'alertmanager-network-policy', {
      name: 'alertmanager',
      namespace: PLATFORM_NAMESPACE,
      pods: ALERTMANAGER_PODS,
    });
    this.openEdges();
    service(this, PROMETHEUS.service, PODS, PROMETHEUS.port);
    service(this, 'alertmanager', ALERTMANAGER_PODS, ALERTMANAGER_PORT);
    this.server();
    this.alertmanager();
  }

  private openEdges(): void {
    // To find targets.
    this.networkPolicy.allowToKubernetesApi();
    // The addresses of nodes are not known at synth.
    if (this.props.nodeExporterPort !== undefined)
      this.networkPolicy.allowToOutside(this.props.nodeExporterPort);
    this.networkPolicy.allowTo(this.alertmanagerNetworkPolicy, ALERTMANAGER_PORT);
    // All ports, because those of other projects' monitors are not known at synth.
    this.networkPolicy.allowToNamespacesLabelled(MONITORED_LABEL, NAMESPACES);
    // Prometheus and Alertmanager are scraped too.
    this.networkPolicy.allowTo(this.networkPolicy, PROMETHEUS.port);
    for (const { networkPolicy, port } of this.props.observability.scrapeTargets)
      this.networkPolicy.allowTo(networkPolicy, port);
    for (const client of this.props.observability.prometheusClients)
      client.allowTo(this.networkPolicy, PROMETHEUS.port);
    // Alertmanager sends messages to services on the internet, over HTTPS.
    this.alertmanagerNetworkPolicy.allowToOutside(443);
  }

  private server(): void {
    const serviceAccount = new ServiceAccount(this, 'service-account', {
      name: 'prometheus',
      namespace: PLATFORM_NAMESPACE,
      // Cluster-wide, because any namespace may get the label, and a Role holds in one named namespace.
      grants: [
        {
          rules: [
            { apiGroups: [''], resources: ['endpoints', 'pods', 'services'], verbs: ['list', 'watch'] },
            { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
          ],
        },
      ],
    });
    const memory = this.props.memory ?? { request: '512Mi', limit: '2Gi' };
    new PrometheusResource(this, 'prometheus', {
      metadata: { name: 'prometheus' },
      spec: {
        image: images.prometheus,
        version: version(images.prometheus),
        replicas: 1,
        // Alerts link to it. It has no page but by a port-forward; without a URL the links have the pod's name.
        externalUrl: `http://localhost:${PROMETHEUS.port}`,
        serviceAccountName: serviceAccount.name,
        podMetadata: { labels: PODS },
        securityContext: restrictedPod(NOBODY),
        // Every monitor and rule of a namespace with the label. They need no labels of their own.
        serviceMonitorSelector: {},
        serviceMonitorNamespaceSelector: MONITORED,
        podMonitorSelector: {},
        podMonitorNamespaceSelector: MONITORED,
        ruleSelector: {},
        ruleNamespaceSelector: MONITORED,
        ...WHAT_OTHERS_MAY,
        // Airflow pushes its metrics here, so that it needs no exporter.
        enableOtlpReceiver: true,
        retention: this.props.retention ?? '15d',
        storage: {
          volumeClaimTemplate: {
            spec: {
              accessModes: ['ReadWriteOnce'],
              storageClassName: this.props.storageClass,
              resources: {
                requests: {
                  storage: PrometheusSpecStorageVolumeClaimTemplateSpecResourcesRequests.fromString(
                    this.props.storage ?? '10Gi',
                  ),
                },
              },
            },
          },
        },
        resources: {
          requests: {
            cpu: PrometheusSpecResourcesRequests.fromString('100m'),
            memory: PrometheusSpecResourcesRequests.fromString(memory.request),
          },
          limits: { memory: PrometheusSpecResourcesLimits.fromString(memory.limit) },
        },
        alerting: {
          alertmanagers: [
            {
              name: 'alertmanager',
              namespace: PLATFORM_NAMESPACE,
              port: PrometheusSpecAlertingAlertmanagersPort.fromString('web'),
            },
          ],
        },
      },
    });
  }

  private alertmanager(): void {
    const serviceAccount = new ServiceAccount(this, 'alertmanager-service-account', {
      name: 'alertmanager',
      namespace: PLATFORM_NAMESPACE,
      grants: [],
    });
    new Alertmanager(this, 'alertmanager', {
      metadata: { name: 'alertmanager' },
      spec: {
        image: images.alertmanager,
        version: version(images.alertmanager),
        replicas: 1,
        externalUrl: `http://localhost:${ALERTMANAGER_PORT}`,
        serviceAccountName: serviceAccount.name,
        automountServiceAccountToken: false,
        podMetadata: { labels: ALERTMANAGER_PODS },
        securityContext: restrictedPod(NOBODY),
        storage: {
          volumeClaimTemplate: {
            spec: {
              accessModes: ['ReadWriteOnce'],
              storageClassName: this.props.storageClass,
              resources: {
                requests: {
                  storage: AlertmanagerSpecStorageVolumeClaimTemplateSpecResourcesRequests.fromString('1Gi'),
                },
              },
            },
          },
        },
        resources: {
          requests: {
            cpu: AlertmanagerSpecResourcesRequests.fromString('10m'),
            memory: AlertmanagerSpecResourcesRequests.fromString('32Mi'),
          },
          limits: { memory: AlertmanagerSpecResourcesLimits.fromString('128Mi') },
        },
      },
    });
  }
}

/** A Service with a cluster IP. Those that the operator makes are headless. */
function service(scope: Construct, name: string, pods: Record<string, string>, port: number): void {
  new k8s.KubeService(scope, `service-${name}`, {
    metadata: { name, labels: pods },
    spec: { selector: pods, ports: [{ name: 'web', port, targetPort: k8s.IntOrString.fromString('web') }] },
  });
}

/** The version, from the image's tag. The operator adapts the program's arguments to it. */
function version(image: string): string {
  return image.slice(image.lastIndexOf(':') + 1);
}
