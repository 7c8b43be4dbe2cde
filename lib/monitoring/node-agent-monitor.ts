import type { Construct } from 'constructs';
import {
  PodMonitor,
  PodMonitorSpecPodMetricsEndpointsRelabelingsAction as Action,
} from '../../imports/monitoring.coreos.com';
import { NODES_NAMESPACE } from '../kubernetes/namespaces';
import type { Observability } from '../observability/observability';

/** Node agents have no Service: their pods are scraped by their label. */
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
          // A GPU's `pod` and `namespace` are those that use it; where others have GPUs too, the exporter's own
          // namespace must tell ours from theirs.
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
