import type { Construct } from 'constructs';
import { images } from '../kubernetes/images';
import { httpProbe } from '../kubernetes/probe';
import { NOBODY } from '../kubernetes/pod-defaults';
import { PLATFORM_NAMESPACE } from '../kubernetes/namespaces';
import { Workload } from '../kubernetes/workload';

const WATCH = ['list', 'watch'];

/** Kinds that are read in every namespace. Without `probes` the operator waits for ever, though none is used. */
const FROM_LABELLED_NAMESPACES = ['podmonitors', 'probes', 'prometheusrules', 'servicemonitors'];

/**
 * Turns monitors and rules into Prometheus' configuration. It reads them in every namespace, because a label decides
 * which namespaces are monitored. It writes objects and reads Secrets in the platform's namespace alone.
 */
export function prometheusOperator(scope: Construct): Workload {
  return new Workload(scope, 'operator', {
    name: 'prometheus-operator',
    system: 'prometheus-operator',
    component: 'operator',
    image: images.prometheusOperator,
    user: NOBODY,
    args: [
      // Only the platform's Prometheus and Alertmanager. Those of other namespaces have operators of their own.
      `--prometheus-instance-namespaces=${PLATFORM_NAMESPACE}`,
      `--alertmanager-instance-namespaces=${PLATFORM_NAMESPACE}`,
      `--alertmanager-config-namespaces=${PLATFORM_NAMESPACE}`,
      `--prometheus-config-reloader=${images.configReloader}`,
      '--config-reloader-cpu-request=10m',
      '--config-reloader-cpu-limit=0',
      '--config-reloader-memory-request=32Mi',
      '--config-reloader-memory-limit=64Mi',
      '--kubelet-endpoints=false',
      '--kubelet-endpointslice=false',
    ],
    ports: { http: 8080 },
    cpu: { request: '20m' },
    memory: { request: '64Mi', limit: '256Mi' },
    readinessProbe: httpProbe('/healthz', 'http', { periodSeconds: 5 }),
    livenessProbe: httpProbe('/healthz', 'http', { periodSeconds: 20, failureThreshold: 5 }),
    grants: [
      {
        rules: [
          { apiGroups: ['storage.k8s.io'], resources: ['storageclasses'], verbs: ['get'] },
          // It reports refused objects as events, and does so only where it may write events in every namespace.
          { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch'] },
          // Cluster-wide, because any namespace may get the label, and a Role holds in one named namespace.
          { apiGroups: [''], resources: ['namespaces'], verbs: WATCH },
          { apiGroups: ['monitoring.coreos.com'], resources: FROM_LABELLED_NAMESPACES, verbs: WATCH },
        ],
      },
      // The operator creates its objects in the namespace of the Prometheus resource.
      { namespace: PLATFORM_NAMESPACE, rules: MAKES_PROMETHEUS },
    ],
  });
}

const MAKES_PROMETHEUS = [
  { apiGroups: ['monitoring.coreos.com'], resources: ['alertmanagerconfigs'], verbs: WATCH },
  {
    apiGroups: ['monitoring.coreos.com'],
    resources: [
      'alertmanagers',
      'alertmanagers/finalizers',
      'alertmanagers/status',
      'prometheuses',
      'prometheuses/finalizers',
      'prometheuses/status',
    ],
    verbs: ['get', 'list', 'patch', 'update', 'watch'],
  },
  {
    apiGroups: ['apps'],
    resources: ['statefulsets'],
    verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
  },
  {
    apiGroups: [''],
    resources: ['configmaps', 'secrets', 'services'],
    verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
  },
  { apiGroups: [''], resources: ['services/finalizers'], verbs: ['update'] },
  { apiGroups: [''], resources: ['pods'], verbs: ['delete', 'get', 'list', 'patch', 'watch'] },
];
