import { cluster } from './platform';

export default function teardown(): void {
  // Left up for a look when a person asks for it; `scripts/cluster/cluster.sh down` removes it.
  if (!process.env.KEEP_CLUSTER) cluster.down();
}
