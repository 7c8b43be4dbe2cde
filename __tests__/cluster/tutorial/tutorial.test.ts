import { rmSync } from 'node:fs';
import { basename } from 'node:path';
import { runs } from '../support/airflow';
import { report } from '../support/cluster';
import { cluster } from '../support/platform';
import { copyOfTree, PAGES, play } from '../support/tutorial';

/** The pages that need a cluster: 1-data.md to 5-monitoring.md, each of which goes on where the one before ended. */
const CHAPTERS = PAGES.filter((page) => /^[1-5]-/.test(basename(page)));

const tree = copyOfTree();
afterAll(() => rmSync(tree, { recursive: true }));

test.each(CHAPTERS.map((page) => [basename(page), page]))(
  '%s: every command does what its page says',
  async (_, page) => {
    const inside = { ...cluster.kubectlEnvironment(), KUBECTL: 'kubectl' };
    for (const { command, seconds } of await play(page, tree, inside, { within: cluster.entrance() }))
      report(`${String(seconds).padStart(4)} s  ${command.split('\n').join('\n              ')}`);
  },
);

test('in the end there was one retraining', () => {
  expect(runs('trip-duration').filter(({ run_type }) => run_type === 'asset_triggered')).toHaveLength(1);
});
