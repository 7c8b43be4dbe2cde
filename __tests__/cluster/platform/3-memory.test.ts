import { spawnSync } from 'node:child_process';
import { report } from '../support/cluster';
import { cluster } from '../support/platform';

interface Stats {
  pods: { podRef: { name: string; namespace: string }; memory?: { workingSetBytes: number } }[];
}

interface Pod {
  metadata: { name: string };
  spec: { containers: { resources?: Record<'requests' | 'limits', { memory?: string } | undefined> }[] };
}

const MEBI = 2 ** 20;
/** Minutes without a request before memory is read: 1 in CI, where a person would rather wait ten. */
const IDLE_MINUTES = Number(process.env.IDLE_MINUTES ?? 1);
/** What a laptop of 8 GiB has left beside its system and a browser. */
const LAPTOP_MEBIBYTES = 6 * 1024;

test('the idle platform fits a laptop with 8 GiB', () => {
  spawnSync('sleep', [String(IDLE_MINUTES * 60)]);
  const { pods } = JSON.parse(
    cluster.kubectl('get', '--raw', '/api/v1/nodes/node1/proxy/stats/summary'),
  ) as Stats;
  const specs = new Map(
    cluster.get<{ items: Pod[] }>('pods', '--all-namespaces').items.map((pod) => [pod.metadata.name, pod]),
  );
  const rows = pods
    .filter(
      ({ podRef, memory }) => podRef.namespace.startsWith('mlops-') && (memory?.workingSetBytes ?? 0) > 0,
    )
    .map(({ podRef, memory }) => ({
      name: podRef.name,
      used: Math.round(memory!.workingSetBytes / MEBI),
      request: sum(specs.get(podRef.name), 'requests'),
      limit: sum(specs.get(podRef.name), 'limits'),
    }))
    .sort((a, b) => b.used - a.used);
  report(`after ${IDLE_MINUTES} idle minutes, in MiB: working set, request, limit`);
  for (const { name, used, request, limit } of rows) report(`${name}: ${used} ${request} ${limit}`);
  const total = (key: 'used' | 'request' | 'limit') => rows.reduce((all, row) => all + row[key], 0);
  report(`all ${rows.length} pods: ${total('used')} ${total('request')} ${total('limit')}`);
  expect(total('used')).toBeLessThan(LAPTOP_MEBIBYTES);
  expect(total('request')).toBeLessThan(LAPTOP_MEBIBYTES);
});

/** Mebibytes of all containers of a pod together: their requests, or their limits. */
function sum(pod: Pod | undefined, what: 'requests' | 'limits'): number {
  return (pod?.spec.containers ?? []).reduce(
    (all, { resources }) => all + mebibytes(resources?.[what]?.memory),
    0,
  );
}

function mebibytes(text = '0Mi'): number {
  const amount = parseInt(text, 10);
  return text.endsWith('Gi') ? amount * 1024 : amount;
}
