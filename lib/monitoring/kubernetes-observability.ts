import type { Construct } from 'constructs';
import { ServiceMonitor } from '../../imports/monitoring.coreos.com';
import { STEPS_NAMESPACE } from '../kubernetes/namespaces';
import type { Workload } from '../kubernetes/workload';
import type { Alert } from '../observability/alert';
import { type Dashboard, isUp } from '../observability/dashboard';
import type { Observability } from '../observability/observability';
import type { Signal } from '../observability/signal';
import { KUBE_STATE_METRICS } from './kubernetes-metrics';

export interface KubernetesObservabilityProps {
  readonly observability: Observability;
  /** @default - somebody else's, which keeps the namespace of what it speaks of (`honorLabels`) */
  readonly kubeStateMetrics?: Workload;
}

export { gpuObservability } from './gpu-observability';
export { nodeObservability } from './node-observability';

/** Says what is worth knowing about the platform's pods, jobs and claims. */
export function kubernetesObservability(scope: Construct, props: KubernetesObservabilityProps): void {
  const { observability, kubeStateMetrics } = props;
  if (kubeStateMetrics) kubeStateMetricsMonitor(scope, observability, kubeStateMetrics);
  observability.knows(KUBE_STATE_METRICS);
  observability.watch(scope, {
    system: 'kubernetes',
    alerts: kubeStateMetrics ? [KUBE_STATE_METRICS_DOWN, ...ALERTS] : ALERTS,
    dashboard: dashboard(kubeStateMetrics ? [kubeStateMetricsUp] : []),
  });
}

function kubeStateMetricsMonitor(
  scope: Construct,
  observability: Observability,
  kubeStateMetrics: Workload,
): void {
  const { name, selector } = kubeStateMetrics;
  observability.scrapes({
    networkPolicy: kubeStateMetrics.networkPolicy,
    port: kubeStateMetrics.endpoint('http').port,
  });
  new ServiceMonitor(scope, `monitor-${name}`, {
    metadata: { name },
    spec: {
      selector: { matchLabels: selector },
      jobLabel: 'app.kubernetes.io/name',
      // `pod` and `namespace` are those it speaks of, not its own.
      endpoints: [{ port: 'http', path: '/metrics', interval: '30s', honorLabels: true }],
    },
  });
}

const kubeStateMetricsUp = isUp('kube-state-metrics', 'kube-state-metrics');

const podsNotReady: Signal = {
  name: 'Pods not ready',
  description:
    'Pods of the platform that should serve and do not. Step pods come and go; Airflow watches those.',
  unit: 'short',
  expr:
    `count by (namespace, pod) (kube_pod_status_ready{condition="true", namespace!="${STEPS_NAMESPACE}"} == 0) ` +
    'unless on (namespace, pod) (kube_pod_status_phase{phase="Succeeded"} == 1)',
  by: ['namespace', 'pod'],
};

const crashLooping: Signal = {
  name: 'Crash loops',
  description: 'Containers that Kubernetes waits to start again because they ended too often.',
  unit: 'short',
  // Between two waits the container runs for a moment; it must not hide the loop.
  expr:
    'max by (namespace, pod, container) ' +
    '(max_over_time(kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"}[5m])) > 0',
  by: ['pod', 'container'],
};

const restarts: Signal = {
  name: 'Restarts in ten minutes',
  description: 'How often Kubernetes started a container again.',
  unit: 'short',
  expr: 'sum by (namespace, pod, container) (increase(kube_pod_container_status_restarts_total[10m]))',
  by: ['pod', 'container'],
};

const outOfMemory: Signal = {
  name: 'Killed for memory',
  description:
    'Containers that were killed in the last quarter of an hour because they passed their memory limit.',
  unit: 'short',
  expr:
    '(sum by (namespace, pod, container) (kube_pod_container_status_last_terminated_reason{reason="OOMKilled"}) ' +
    'and sum by (namespace, pod, container) (increase(kube_pod_container_status_restarts_total[15m])) > 0) ' +
    'or sum by (namespace, pod, container) (kube_pod_container_status_terminated_reason{reason="OOMKilled"} == 1)',
  by: ['pod', 'container'],
};

const failedJobs: Signal = {
  name: 'Failed jobs',
  description: 'Jobs that Kubernetes gave up: provisioning of databases or buckets.',
  unit: 'short',
  expr: 'sum by (namespace, job_name) (kube_job_failed{condition="true"})',
  by: ['job_name'],
};

const unavailable: Signal = {
  name: 'Programs without a pod',
  description: 'Deployments and stateful sets of which no pod serves.',
  unit: 'short',
  expr:
    'count by (namespace, deployment) (kube_deployment_status_replicas_available == 0 and kube_deployment_spec_replicas > 0) ' +
    'or count by (namespace, statefulset) (kube_statefulset_status_replicas_ready == 0 and kube_statefulset_replicas > 0)',
  by: ['deployment', 'statefulset'],
};

export const stepPods: Signal = {
  name: 'Step pods',
  description: 'Pods that collect, train or check, by phase.',
  unit: 'short',
  expr: `sum by (phase) (kube_pod_status_phase{namespace="${STEPS_NAMESPACE}", phase=~"Pending|Running|Failed"})`,
  by: ['phase'],
};

const KUBE_STATE_METRICS_DOWN: Alert = {
  name: 'KubeStateMetricsDown',
  expr: `${kubeStateMetricsUp.expr} == 0`,
  for: '10m',
  severity: 'warning',
  summary: 'kube-state-metrics is not reached: nothing is known about pods and jobs.',
};

const ALERTS: Alert[] = [
  {
    name: 'WorkloadUnavailable',
    expr: unavailable.expr,
    for: '10m',
    severity: 'critical',
    summary: 'No pod of {{ $labels.deployment }}{{ $labels.statefulset }} serves.',
  },
  {
    name: 'PodNotReady',
    expr: podsNotReady.expr,
    for: '15m',
    severity: 'warning',
    summary: 'Pod {{ $labels.pod }} in {{ $labels.namespace }} is not ready.',
  },
  {
    name: 'PodCrashLooping',
    expr: crashLooping.expr,
    for: '10m',
    severity: 'warning',
    summary: 'Container {{ $labels.container }} of {{ $labels.pod }} starts again and again.',
  },
  {
    name: 'PodOutOfMemory',
    expr: outOfMemory.expr,
    for: '1m',
    severity: 'warning',
    summary:
      'Container {{ $labels.container }} of {{ $labels.pod }} was killed for passing its memory limit.',
  },
  {
    name: 'JobFailed',
    expr: `${failedJobs.expr} > 0`,
    for: '1m',
    severity: 'critical',
    summary: 'Job {{ $labels.job_name }} in {{ $labels.namespace }} failed.',
  },
];

const dashboard = (exporters: readonly Signal[]): Dashboard => ({
  uid: 'mlops-kubernetes',
  title: 'Kubernetes',
  description: 'Pods, jobs and claims of the platform.',
  rows: [
    {
      title: 'Health',
      signals: [
        ...exporters,
        {
          name: 'Pods running',
          description: 'Pods of the platform that run.',
          unit: 'short',
          expr: 'sum(kube_pod_status_phase{phase="Running"})',
          as: 'stat',
        },
        {
          name: 'Claims not bound',
          description: 'Claims for which there is no disk yet.',
          unit: 'short',
          expr: 'sum(kube_persistentvolumeclaim_status_phase{phase!="Bound"}) or vector(0)',
          as: 'stat',
        },
      ],
    },
    { title: 'Pods', signals: [podsNotReady, unavailable, crashLooping, restarts, outOfMemory] },
    {
      title: 'Work',
      signals: [
        stepPods,
        failedJobs,
        {
          name: 'Waiting containers',
          description: 'Containers that do not start, by reason.',
          unit: 'short',
          expr: 'sum by (reason) (kube_pod_container_status_waiting_reason)',
          by: ['reason'],
        },
        {
          name: 'CPU asked for',
          description: 'Cores that are kept for the pods of each namespace.',
          unit: 'short',
          expr: 'sum by (namespace) (kube_pod_container_resource_requests{resource="cpu"})',
          by: ['namespace'],
        },
      ],
    },
  ],
});
