/** What `npm run deploy` and `npm run status` say of a workload that does not become ready. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type * as Trouble from '../scripts/cli/platform/trouble';

const folder = mkdtempSync(join(tmpdir(), 'trouble-'));
// A stand-in for a cluster: it prints the files that a test wrote.
const KUBECTL = `#!/bin/sh
cd '${folder}' || exit 1
case "$*" in
  'get pods --namespace='*) exec cat pods.json ;;
  'get pods --all-namespaces --output=json') exec cat all.json ;;
  'logs --namespace=mlops-nodes node-exporter-a --container=agent --tail=20') exec cat agent.log ;;
esac
echo "not expected: $*" >&2
exit 1
`;
writeFileSync(join(folder, 'kubectl'), KUBECTL, { mode: 0o755 });
afterAll(() => rmSync(folder, { recursive: true }));

// The program is read from the environment when the module is loaded.
process.env.KUBECTL = join(folder, 'kubectl');
const { reason } = jest.requireActual<typeof Trouble>('../scripts/cli/platform/trouble');

const WORKLOAD = {
  title: 'daemonset/node-exporter',
  namespace: 'mlops-nodes',
  name: 'node-exporter',
  ready: false,
  state: '0/1',
  selector: 'app.kubernetes.io/name=node-exporter',
};
const WAY_OUT = 'NodeExporter.own({ port: … }) in Monitoring.own({ nodeExporter: … }) of the environment';
const REFUSAL =
  "0/2 nodes are available: 1 node(s) didn't have free ports for the requested pod ports, 1 node(s) didn't satisfy " +
  'plugin(s) [NodeAffinity]. preemption: not eligible due to preemptionPolicy=Never.';

const on = (name: string) => ({
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [name] }] }],
    },
  },
});
const agent = { name: 'agent', ports: [{ containerPort: 9100, hostPort: 9100 }] };

/** A pod with node-exporter's port of the node. */
function pod(name: string, namespace: string, node: string, status: object, container: object = agent) {
  return { metadata: { name, namespace }, spec: { nodeName: node, containers: [container] }, status };
}

/** Our pod on the node `one`, which a scheduler has not assigned. */
const ours = (message: string) => ({
  ...pod('node-exporter-a', 'mlops-nodes', '', {
    phase: 'Pending',
    conditions: [{ type: 'PodScheduled', status: 'False', message }],
  }),
  spec: { affinity: on('one'), containers: [agent] },
});
const RUNS = { phase: 'Running' };

function said(own: object, all: readonly object[] | undefined, log = ''): string {
  writeFileSync(join(folder, 'pods.json'), JSON.stringify({ items: [own] }));
  if (all) writeFileSync(join(folder, 'all.json'), JSON.stringify({ items: all }));
  else rmSync(join(folder, 'all.json'), { force: true });
  writeFileSync(join(folder, 'agent.log'), log);
  return reason(WORKLOAD);
}

describe('a port of the node that is taken', () => {
  test('is named with the pod that has it, the node, the setting and Kubernetes’ own words', () => {
    const theirs = pod('prometheus-node-exporter-x', 'monitoring', 'one', RUNS);
    const text = said(ours(REFUSAL), [
      ours(REFUSAL),
      theirs,
      pod('node-exporter-b', 'mlops-nodes', 'two', RUNS),
      pod('ended', 'monitoring', 'one', { phase: 'Succeeded' }),
      pod('other-port', 'web', 'one', RUNS, { ports: [{ containerPort: 80, hostPort: 80 }] }),
      pod('no-port', 'web', 'one', RUNS, {}),
    ]);
    expect(text).toBe(
      'no node takes it: port 9100 of node one is taken by pod monitoring/prometheus-node-exporter-x. ' +
        `${WAY_OUT} takes another port, and NodeExporter.none() does without it. Kubernetes says: ${REFUSAL}`,
    );
  });

  test('is named where the pod that has it is a sidecar’s, or the user may not list the pods of others', () => {
    const sidecar = {
      ...pod('mesh', 'web', 'one', RUNS, {}),
      spec: { nodeName: 'one', containers: [{}], initContainers: [agent] },
    };
    expect(said(ours(REFUSAL), [sidecar])).toContain('port 9100 of node one is taken by pod web/mesh. ');
    expect(said(ours(REFUSAL), undefined)).toContain(
      "port 9100 of node one is taken by another program (on the node: sudo ss -ltnp 'sport = :9100'). ",
    );
  });

  test('is named where the kubelet refuses the pod that was assigned to it', () => {
    const message =
      "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports";
    const refused = pod('node-exporter-a', 'mlops-nodes', 'one', {
      phase: 'Failed',
      reason: 'NodePorts',
      message,
    });
    expect(said(refused, [refused, pod('theirs', 'monitoring', 'one', RUNS)])).toMatch(
      /^no node takes it: port 9100 of node one is taken by pod monitoring\/theirs\. .* says: Pod was rejected/,
    );
  });

  const crashing = (state: object, container: object = agent) =>
    pod(
      'node-exporter-a',
      'mlops-nodes',
      'one',
      { phase: 'Running', containerStatuses: [{ name: 'agent', ready: false, restartCount: 4, state }] },
      container,
    );
  const IN_USE = 'level=ERROR msg="listen tcp :9100: bind: address already in use"\n';

  test.each([
    ['waits to be started again', { waiting: { reason: 'CrashLoopBackOff' } }],
    ['has just ended', { terminated: { exitCode: 1 } }],
  ])('is named where a program outside Kubernetes has it, and the container %s', (_when, state) => {
    expect(said(crashing(state), [], IN_USE)).toBe(
      `agent: port 9100 of node one is taken by another program (on the node: sudo ss -ltnp 'sport = :9100'). ` +
        `${WAY_OUT} takes another port, and NodeExporter.none() does without it`,
    );
  });

  test('is not what a pod suffers from that ends for another reason, or takes no port of the node', () => {
    const state = { waiting: { reason: 'CrashLoopBackOff' } };
    expect(said(crashing(state), [], 'level=ERROR msg="no such directory"\n')).toBe(
      'agent: CrashLoopBackOff after 4 restarts',
    );
    expect(said(crashing(state, { ports: [{ containerPort: 9100 }] }), [], IN_USE)).toBe(
      'agent: CrashLoopBackOff after 4 restarts',
    );
    const cpu = '0/1 nodes are available: 1 Insufficient cpu.';
    expect(said(ours(cpu), [])).toBe(`no node takes it: ${cpu}`);
  });
});
