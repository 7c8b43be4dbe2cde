import type { Construct } from 'constructs';
import {
  PodMonitor,
  PodMonitorSpecPodMetricsEndpointsRelabelingsAction as Action,
} from '../../imports/monitoring.coreos.com';
import { NODES_NAMESPACE } from '../kubernetes/namespaces';

/** Node agents have no Service: their pods are scraped by their label. */
export function nodeAgentMonitor(scope: Construct, agent: string): void {
  new PodMonitor(scope, `monitor-${agent}`, {
    metadata: { name: agent, namespace: NODES_NAMESPACE },
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
          // A GPU's `pod` and `namespace` are those that use it.
          honorLabels: true,
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
