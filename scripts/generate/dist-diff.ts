/**
 * `ts-node scripts/generate/dist-diff.ts BASE`: prints what changed in dist/ since the commit BASE, as a comment on a
 * pull request.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Failure, run } from '../command';

/** First line of the comment, by which the workflow finds the one that it wrote before. */
export const MARKER = '<!-- dist-diff -->';

/**
 * GitHub accepts comments of 65536 characters. The limit is in bytes, so that the text also fits an environment
 * variable.
 */
const MAX_BYTES = 65536;

/** Most files that the table names. */
const MAX_ROWS = 100;

interface Change {
  readonly file: string;
  readonly added: number;
  readonly removed: number;
}

/**
 * The comment in Markdown, at most as long as GitHub takes.
 * @param base the commit with which the files in `folder` are compared, committed or not
 * @param folder of the repository
 * @throws Failure with git's message where there is no such commit.
 */
export function distDiff(base: string, folder: string): string {
  const scratch = mkdtempSync(join(tmpdir(), 'dist-diff-'));
  // A separate index, to which new files can be added without a change of the repository.
  const git = (...args: string[]) => call(folder, join(scratch, 'index'), args);
  try {
    const commit = git('rev-parse', '--verify', '--end-of-options', `${base}^{commit}`).trim();
    git('read-tree', commit);
    git('add', '--all', '--force', '--', 'dist');
    const diff = ['diff', '--cached', '--no-renames', '--no-ext-diff', '--no-textconv', '--no-color'];
    const changes = git(...diff, '--numstat', '-z', commit, '--', 'dist');
    return comment(changes.split('\0').filter(Boolean).map(change), git(...diff, commit, '--', 'dist'));
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function call(folder: string, index: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync('git', args, {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, GIT_INDEX_FILE: index },
    maxBuffer: 2 ** 30,
  });
  if (error) throw new Failure(`cannot start git: ${error.message}`);
  if (status !== 0) throw new Failure(`git ${args.join(' ')} failed:\n${stderr.trim()}`);
  return stdout;
}

/** One entry of `git diff --numstat -z`; a binary file has dashes for numbers. */
function change(entry: string): Change {
  const [added, removed, ...file] = entry.split('\t');
  return { file: file.join('\t'), added: Number(added) || 0, removed: Number(removed) || 0 };
}

function comment(changes: readonly Change[], diff: string): string {
  if (changes.length === 0) return `${MARKER}\n\`dist/\` stays as it is.\n`;
  const added = changes.reduce((sum, each) => sum + each.added, 0);
  const removed = changes.reduce((sum, each) => sum + each.removed, 0);
  const head = `${MARKER}
### What this changes in \`dist/\`

${changes.length} ${changes.length === 1 ? 'file' : 'files'}, ${added} lines added, ${removed} removed.

${table(changes)}
`;
  return head + details(diff.replace(/\n$/, '').split('\n'), MAX_BYTES - Buffer.byteLength(head));
}

function table(changes: readonly Change[]): string {
  const rows = changes
    .slice(0, MAX_ROWS)
    .map(({ file, added, removed }) => `| ${code(file)} | ${added} | ${removed} |\n`);
  const more = changes.length - rows.length;
  return `| file | added | removed |\n| --- | --- | --- |\n${rows.join('')}${more > 0 ? `\nAnd ${more} more files.\n` : ''}`;
}

/** A file's name as code. It may contain any character, so that those which could be Markdown are replaced. */
function code(file: string): string {
  return `\`${file.replace(/[^\w./-]/g, '?').slice(0, 200)}\``;
}

/** The lines that fit into so many bytes, and the number of those that do not. */
function details(lines: readonly string[], bytes: number): string {
  // The fence is longer than any in the diff, so that no line of it ends the block.
  const longest = Math.max(2, ...[...lines.join('\n').matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = '`'.repeat(longest + 1);
  const frame = (shown: readonly string[], rest: number) =>
    `<details><summary>The diff</summary>

${fence}diff
${shown.join('\n')}
${fence}

</details>
${rest > 0 ? `\n${rest} more lines do not fit here.\n` : ''}`;

  let left = bytes - Buffer.byteLength(frame([], lines.length));
  const fits = lines.findIndex((line) => (left -= Buffer.byteLength(line) + 1) < 0);
  const count = fits === -1 ? lines.length : fits;
  return frame(lines.slice(0, count), lines.length - count);
}

if (require.main === module) {
  void run(() => {
    const [base, ...more] = process.argv.slice(2);
    if (base === undefined || more.length > 0)
      throw new Failure('usage: ts-node scripts/generate/dist-diff.ts BASE');
    process.stdout.write(distDiff(base, join(__dirname, '../..')));
  });
}
