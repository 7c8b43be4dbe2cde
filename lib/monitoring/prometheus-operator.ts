import type { Construct } from 'constructs';
import { images } from '../kubernetes/images';
import { httpProbe } from '../kubernetes/probe';
import { NODES_NAMESPACE, PLATFORM_NAMESPACE, STEPS_NAMESPACE } from '../kubernetes/namespaces';
import { Workload } from '../kubernetes/workload';

const NAMESPACES = [PLATFORM_NAMESPACE, STEPS_NAMESPACE, NODES_NAMESPACE];
const READ = ['get', 'list', 'watch'];

/** Turns monitors and rules into Prometheus' configuration; sees the platform's namespaces alone. */
export function prometheusOperator(scope: Construct): Workload {
  return new Workload(scope, 'operator', {
    name: 'prometheus-operator',
    system: 'prometheus-operator',
    component: 'operator',
    image: images.prometheusOperator,
    user: { uid: 65534, gid: 65534 },
    args: [
      `--namespaces=${NAMESPACES.join(',')}`,
      // Without these it wants to write to the other namespaces too, and ends when it may not.
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
          // It says nothing of what it refuses unless it may say so everywhere.
          { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch'] },
        ],
      },
      ...NAMESPACES.map((namespace) => ({
        namespace,
        rules: [
          { apiGroups: ['monitoring.coreos.com'], resources: MONITORING, verbs: READ },
          { apiGroups: [''], resources: ['namespaces'], verbs: READ },
          // What it makes, it makes where the Prometheus resource is.
          ...(namespace === PLATFORM_NAMESPACE ? MAKES_PROMETHEUS : []),
        ],
      })),
    ],
  });
}

const MONITORING = [
  'alertmanagerconfigs',
  'alertmanagers',
  'podmonitors',
  'probes',
  'prometheuses',
  'prometheusrules',
  'servicemonitors',
];

const MAKES_PROMETHEUS = [
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
