import { rmSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { runs } from '../support/airflow';
import { report } from '../support/cluster';
import { cluster } from '../support/platform';
import { copyOfTree, PAGES, play } from '../support/tutorial';

/** The pages that need a cluster, 1-data.md to 5-monitoring.md. Each goes on where the one before ended. */
const CHAPTERS = PAGES.filter((page) => /^[1-5]-/.test(basename(page)));

/** The folder for pictures of Airflow's and MLflow's pages after each chapter; without it, none are taken. */
const { PICTURES } = process.env;

const tree = copyOfTree();
afterAll(() => rmSync(tree, { recursive: true }));

test.each(CHAPTERS.map((page) => [basename(page), page]))(
  '%s: every command does what its page says',
  async (_, page) => {
    const inside = { ...cluster.kubectlEnvironment(), KUBECTL: 'kubectl' };
    for (const { command, seconds } of await play(page, tree, inside, { within: cluster.entrance() }))
      report(`${String(seconds).padStart(4)} s  ${command.split('\n').join('\n              ')}`);
    if (PICTURES) takePictures(basename(page, '.md'), PICTURES);
  },
);

test('the five chapters together start one retraining', () => {
  expect(runs('trip-duration').filter(({ run_type }) => run_type === 'asset_triggered')).toHaveLength(1);
});

function takePictures(chapter: string, folder: string): void {
  cluster.enter('npx', 'ts-node', join(__dirname, 'take-pictures.ts'), chapter, resolve(folder));
}
