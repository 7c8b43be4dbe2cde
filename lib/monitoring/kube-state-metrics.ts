import type { Construct } from 'constructs';
import { images } from '../kubernetes/images';
import { httpProbe } from '../kubernetes/probe';
import { NOBODY } from '../kubernetes/pod-defaults';
import { NAMESPACES } from '../kubernetes/namespaces';
import { Workload } from '../kubernetes/workload';

const READ = ['list', 'watch'];

/** Exports the state of the platform's own objects: pods, deployments, jobs, claims. */
export function kubeStateMetrics(scope: Construct): Workload {
  return new Workload(scope, 'kube-state-metrics', {
    name: 'kube-state-metrics',
    system: 'kube-state-metrics',
    component: 'exporter',
    image: images.kubeStateMetrics,
    user: NOBODY,
    args: [
      `--namespaces=${NAMESPACES.join(',')}`,
      '--resources=daemonsets,deployments,jobs,persistentvolumeclaims,pods,statefulsets',
      '--port=8080',
      '--telemetry-port=8081',
    ],
    ports: { http: 8080, telemetry: 8081 },
    cpu: { request: '10m' },
    memory: { request: '64Mi', limit: '256Mi' },
    readinessProbe: httpProbe('/readyz', 'telemetry', { periodSeconds: 5 }),
    livenessProbe: httpProbe('/livez', 'http', { periodSeconds: 20, failureThreshold: 5 }),
    grants: NAMESPACES.map((namespace) => ({
      namespace,
      rules: [
        { apiGroups: [''], resources: ['persistentvolumeclaims', 'pods'], verbs: READ },
        { apiGroups: ['apps'], resources: ['daemonsets', 'deployments', 'statefulsets'], verbs: READ },
        { apiGroups: ['batch'], resources: ['jobs'], verbs: READ },
      ],
    })),
  });
}
