import { cluster } from './platform';

export default function teardown(): void {
  // Somebody who wants to look at the cluster sets KEEP_CLUSTER; `scripts/cluster/cluster.sh down` removes it later.
  if (!process.env.KEEP_CLUSTER) cluster.down();
}
