/**
 * Somebody else's monitoring, as kube-prometheus-stack lays it out: its names, its labels, its selectors, rights in
 * the whole cluster, and a Prometheus without a receiver for OTLP. Grafana is left out, for want of an image.
 */
import { loadAll } from 'js-yaml';
import { images } from '../../../lib/kubernetes/images';
import type { Manifest } from '../../../lib/validation/manifests';
import { customResourceDefinitions } from '../../../lib/synth/custom-resource-definitions';

export const MONITORING = 'monitoring';
export const RELEASE = { release: 'kube-prometheus-stack' };
export const PROMETHEUS = 'kube-prometheus-stack-prometheus';
export const ALERTMANAGER = 'kube-prometheus-stack-alertmanager';
const OPERATOR = 'kube-prometheus-stack-operator';
const STATE_METRICS = 'kube-prometheus-stack-kube-state-metrics';
const EVERYTHING = ['*'];

/** Definitions with the labels of a Helm release: not ours. */
export function definitions(): Manifest[] {
  const ours = customResourceDefinitions().flatMap((text) => loadAll(text)) as Manifest[];
  return ours.map((definition) => ({
    ...definition,
    metadata: { ...definition.metadata, labels: { 'app.kubernetes.io/managed-by': 'Helm' } },
  }));
}

/** What runs, and what it needs. */
export function stack(): object[] {
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: MONITORING } },
    ...rights(OPERATOR, [
      rule(['monitoring.coreos.com'], EVERYTHING, EVERYTHING),
      rule(['apps'], ['statefulsets'], EVERYTHING),
      rule([''], ['configmaps', 'secrets'], EVERYTHING),
      rule([''], ['pods'], ['list', 'delete']),
      rule(
        [''],
        ['services', 'services/finalizers', 'endpoints'],
        ['get', 'create', 'update', 'delete', 'list'],
      ),
      rule([''], ['nodes', 'namespaces'], ['get', 'list', 'watch']),
      rule([''], ['events'], ['patch', 'create']),
      rule(['storage.k8s.io'], ['storageclasses'], ['get']),
    ]),
    deployment(OPERATOR, {
      image: images.prometheusOperator,
      args: [
        `--prometheus-config-reloader=${images.configReloader}`,
        '--config-reloader-cpu-request=10m',
        '--config-reloader-memory-request=32Mi',
        '--kubelet-endpoints=false',
        '--kubelet-endpointslice=false',
      ],
      ports: [{ name: 'http', containerPort: 8080 }],
      readinessProbe: { httpGet: { path: '/healthz', port: 'http' }, periodSeconds: 2 },
    }),
    ...rights(PROMETHEUS, [
      rule([''], ['nodes', 'services', 'endpoints', 'pods'], ['get', 'list', 'watch']),
      rule(['discovery.k8s.io'], ['endpointslices'], ['get', 'list', 'watch']),
    ]),
    custom('Prometheus', PROMETHEUS, {
      image: images.prometheus,
      version: images.prometheus.split(':')[1],
      replicas: 1,
      serviceAccountName: PROMETHEUS,
      securityContext: { runAsUser: 65534, runAsGroup: 65534, runAsNonRoot: true, fsGroup: 65534 },
      resources: { requests: { cpu: '50m', memory: '256Mi' } },
      serviceMonitorSelector: { matchLabels: RELEASE },
      serviceMonitorNamespaceSelector: {},
      podMonitorSelector: { matchLabels: RELEASE },
      podMonitorNamespaceSelector: {},
      ruleSelector: { matchLabels: RELEASE },
      ruleNamespaceSelector: {},
      alerting: { alertmanagers: [{ namespace: MONITORING, name: ALERTMANAGER, port: 'http-web' }] },
    }),
    service(PROMETHEUS, { 'app.kubernetes.io/name': 'prometheus' }, 9090, 'web'),
    custom('Alertmanager', ALERTMANAGER, {
      image: images.alertmanager,
      version: images.alertmanager.split(':')[1],
      replicas: 1,
      securityContext: { runAsUser: 65534, runAsGroup: 65534, runAsNonRoot: true, fsGroup: 65534 },
      resources: { requests: { cpu: '10m', memory: '32Mi' } },
    }),
    service(ALERTMANAGER, { 'app.kubernetes.io/name': 'alertmanager' }, 9093, 'web'),
    ...rights(STATE_METRICS, [
      rule([''], ['pods', 'persistentvolumeclaims'], ['list', 'watch']),
      rule(['apps'], ['daemonsets', 'deployments', 'statefulsets'], ['list', 'watch']),
      rule(['batch'], ['jobs'], ['list', 'watch']),
    ]),
    deployment(STATE_METRICS, {
      image: images.kubeStateMetrics,
      args: [
        '--port=8080',
        '--resources=daemonsets,deployments,jobs,persistentvolumeclaims,pods,statefulsets',
      ],
      ports: [{ name: 'http', containerPort: 8080 }],
      readinessProbe: { httpGet: { path: '/livez', port: 'http' }, periodSeconds: 2 },
    }),
    service(STATE_METRICS, { app: STATE_METRICS }, 8080, 'http'),
    custom('ServiceMonitor', STATE_METRICS, {
      selector: { matchLabels: { app: STATE_METRICS } },
      endpoints: [{ port: 'http-web', honorLabels: true }],
    }),
  ];
}

/**
 * Another team's namespace: a program named like one of ours whose metrics are not there, and an alert named like
 * the one that retrains, about a model and a version of ours, that always fires.
 */
export function neighbour(namespace: string, model: string, version: string): object[] {
  const labels = { 'app.kubernetes.io/name': 'postgres' };
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    deployment(
      'postgres',
      { image: images.prometheus, command: ['sleep', 'infinity'] },
      namespace,
      labels,
      false,
    ),
    service('postgres', labels, 9187, 9187, namespace),
    custom(
      'ServiceMonitor',
      'postgres',
      {
        selector: { matchLabels: labels },
        jobLabel: 'app.kubernetes.io/name',
        endpoints: [{ port: 'http-web' }],
      },
      namespace,
    ),
    custom(
      'PrometheusRule',
      'drift',
      {
        groups: [
          {
            name: 'drift',
            rules: [
              { alert: 'ModelDrift', expr: 'vector(1)', labels: { namespace, model, version, feature: 'x' } },
            ],
          },
        ],
      },
      namespace,
    ),
  ];
}

function custom(kind: string, name: string, spec: object, namespace = MONITORING): object {
  return {
    apiVersion: 'monitoring.coreos.com/v1',
    kind,
    metadata: { name, namespace, labels: RELEASE },
    spec,
  };
}

function service(
  name: string,
  selector: Record<string, string>,
  port: number,
  targetPort: number | string,
  namespace = MONITORING,
): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace, labels: selector },
    spec: { selector, ports: [{ name: 'http-web', port, targetPort }] },
  };
}

function deployment(
  name: string,
  container: object,
  namespace = MONITORING,
  labels: Record<string, string> = { app: name },
  account = true,
): object {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace, labels },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          ...(account ? { serviceAccountName: name } : {}),
          securityContext: { runAsUser: 65534, runAsNonRoot: true },
          containers: [{ name: 'main', ...container }],
        },
      },
    },
  };
}

function rights(name: string, rules: object[]): object[] {
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name };
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: MONITORING } },
    { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name }, rules },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name },
      roleRef,
      subjects: [{ kind: 'ServiceAccount', name, namespace: MONITORING }],
    },
  ];
}

function rule(apiGroups: string[], resources: string[], verbs: string[]): object {
  return { apiGroups, resources, verbs };
}
