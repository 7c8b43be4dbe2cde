import type { Construct } from 'constructs';
import {
  PodMonitor,
  PodMonitorSpecPodMetricsEndpointsRelabelingsAction as Action,
} from '../../imports/monitoring.coreos.com';
import { NODES_NAMESPACE } from '../kubernetes/namespaces';
import type { Observability } from '../observability/observability';

/** A PodMonitor for a node agent, which has no Service: it selects the pods by their label. */
export function nodeAgentMonitor(scope: Construct, observability: Observability, agent: string): void {
  new PodMonitor(scope, `monitor-${agent}`, {
    metadata: observability.metadata(agent, NODES_NAMESPACE),
    spec: {
      selector: {
        matchLabels: { 'app.kubernetes.io/name': agent, 'app.kubernetes.io/component': 'agent' },
      },
      jobLabel: 'app.kubernetes.io/name',
      podMetricsEndpoints: [
        {
          port: 'metrics',
          path: '/metrics',
          interval: '30s',
          // The exporter sets `pod` and `namespace` to the pod that uses the GPU. In a shared Prometheus the label
          // `namespace` must be the exporter's own, because it distinguishes our series from others'.
          honorLabels: !observability.prometheus.shared,
          relabelings: [
            {
              action: Action.REPLACE,
              sourceLabels: ['__meta_kubernetes_pod_node_name'],
              targetLabel: 'node',
            },
          ],
        },
      ],
    },
  });
}
