import type { Construct } from 'constructs';
import { images } from '../kubernetes/images';
import { httpProbe } from '../kubernetes/probe';
import { NOBODY } from '../kubernetes/pod-defaults';
import { PLATFORM_NAMESPACE } from '../kubernetes/namespaces';
import { Workload } from '../kubernetes/workload';

const WATCH = ['list', 'watch'];

/** It waits for probes before it does anything, although Prometheus selects none. */
const FROM_LABELLED_NAMESPACES = ['podmonitors', 'probes', 'prometheusrules', 'servicemonitors'];

/**
 * Turns monitors and rules into Prometheus' configuration. It sees those of every namespace, because which of them are
 * monitored is known by a label; what it makes and which Secrets it reads lies in the platform's namespace.
 */
export function prometheusOperator(scope: Construct): Workload {
  return new Workload(scope, 'operator', {
    name: 'prometheus-operator',
    system: 'prometheus-operator',
    component: 'operator',
    image: images.prometheusOperator,
    user: NOBODY,
    args: [
      // Prometheus, Alertmanager, Secrets and ConfigMaps of other namespaces are somebody else's.
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
          // A Role reaches one namespace by its name, and a label may be given to any.
          { apiGroups: [''], resources: ['namespaces'], verbs: WATCH },
          { apiGroups: ['monitoring.coreos.com'], resources: FROM_LABELLED_NAMESPACES, verbs: WATCH },
        ],
      },
      // What it makes, it makes where the Prometheus resource is.
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
