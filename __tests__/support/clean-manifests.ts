// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a test writes values that no type allows
export type Json = { [key: string]: any };

/** One valid manifest of each kind, into which a test puts a defect. */
export function cleanManifests(): Json[] {
  const labels = { 'app.kubernetes.io/name': 'web' };
  const metadata = { name: 'web', namespace: 'serving', labels };
  const pod = {
    containers: [
      {
        name: 'web',
        image: 'example.org/web:1.0.0',
        env: [{ name: 'MODE', value: 'a' }],
        ports: [{ name: 'http', containerPort: 8080 }],
        readinessProbe: { httpGet: { path: '/ready', port: 'http' } },
        resources: {
          requests: { cpu: '250m', memory: '64Mi' },
          limits: { memory: '0.5Gi', 'nvidia.com/gpu': 1 },
        },
      },
    ],
    volumes: [{ name: 'scratch', emptyDir: { medium: 'Memory', sizeLimit: '1Gi' } }],
  };
  const template = { metadata: { labels }, spec: pod };
  const claimSpec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '10Gi' } } };
  const monitored = { selector: { matchLabels: labels }, namespaceSelector: { matchNames: ['serving'] } };
  const endpoint = { port: 'metrics', interval: '30s', path: '/metrics' };
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'serving' } },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { config: 'a: 1' } },
    { apiVersion: 'v1', kind: 'Secret', metadata, type: 'Opaque', data: { key: 'dmFsdWU=' } },
    { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata, spec: claimSpec },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: { selector: labels, ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: { selector: { matchLabels: labels }, template },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata,
      spec: {
        serviceName: 'web',
        selector: { matchLabels: labels },
        template,
        volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: claimSpec }],
      },
    },
    {
      apiVersion: 'batch/v1',
      kind: 'CronJob',
      metadata,
      spec: {
        schedule: '0 3 * * *',
        jobTemplate: {
          spec: { template: { spec: { ...pod, restartPolicy: 'Never' } }, ttlSecondsAfterFinished: 60 },
        },
      },
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { name: 'web:reader', namespace: 'serving' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' },
      subjects: [{ kind: 'ServiceAccount', name: 'web', namespace: 'serving' }],
    },
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata,
      spec: {
        podSelector: {},
        policyTypes: ['Ingress'],
        ingress: [
          { from: [{ podSelector: { matchLabels: labels } }], ports: [{ port: 8080, protocol: 'TCP' }] },
        ],
      },
    },
    { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata, spec: { maxUnavailable: '50%' } },
    {
      apiVersion: 'monitoring.coreos.com/v1',
      kind: 'Prometheus',
      metadata,
      spec: {
        retention: '15d',
        resources: { limits: { memory: '2Gi' } },
        storage: { volumeClaimTemplate: { spec: claimSpec } },
      },
    },
    {
      apiVersion: 'monitoring.coreos.com/v1',
      kind: 'Alertmanager',
      metadata,
      spec: { replicas: 1, logLevel: 'info' },
    },
    {
      apiVersion: 'monitoring.coreos.com/v1',
      kind: 'ServiceMonitor',
      metadata,
      spec: { ...monitored, endpoints: [endpoint] },
    },
    {
      apiVersion: 'monitoring.coreos.com/v1',
      kind: 'PodMonitor',
      metadata,
      spec: { ...monitored, podMetricsEndpoints: [endpoint] },
    },
    {
      apiVersion: 'monitoring.coreos.com/v1',
      kind: 'PrometheusRule',
      metadata,
      spec: {
        groups: [
          {
            name: 'web',
            rules: [{ alert: 'WebDown', expr: 'up == 0', for: '5m', labels: { severity: 'page' } }],
          },
        ],
      },
    },
  ];
}
