import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { load } from 'js-yaml';
import { engines, scripts } from '../package.json';
import { distDiff, MARKER } from '../scripts/generate/dist-diff';

interface Step {
  readonly id?: string;
  readonly uses?: string;
  readonly with?: Record<string, unknown>;
  readonly run?: string;
}

interface Job {
  readonly permissions?: Record<string, string>;
  readonly 'timeout-minutes'?: number;
  readonly strategy?: { readonly matrix: { readonly node: string[] } };
  readonly steps: Step[];
}

interface Workflow {
  readonly on: Record<string, unknown>;
  readonly permissions: Record<string, string>;
  readonly jobs: Record<string, Job>;
}

const FOLDER = join(__dirname, '../.github/workflows');
const folder = mkdtempSync(join(tmpdir(), 'workflows-'));
afterAll(() => rmSync(folder, { recursive: true }));

const workflows = readdirSync(FOLDER).map((file) => {
  const text = readFileSync(join(FOLDER, file), 'utf8');
  return { file, text, workflow: load(text) as Workflow };
});
const jobs = workflows.flatMap(({ file, workflow }) =>
  Object.entries(workflow.jobs).map(([name, job]) => ({ name: `${file}: ${name}`, job, workflow })),
);
const steps = jobs.flatMap(({ job }) => job.steps);
const { job: synth } = jobs.find(({ name }) => name === 'dist-diff.yml: synth')!;
const { job: commenting } = jobs.find(({ name }) => name === 'dist-diff.yml: comment')!;

/** Whether a job runs code that a pull request may have changed. */
const runsItsCode = (job: Job) =>
  job.steps.some(({ uses, run }) => uses !== undefined || /\b(npm|npx|node|python|bash)\b/.test(run ?? ''));

test.each(workflows)('$file pins every action by its commit, with the version in a comment', ({ text }) => {
  const lines = text.split('\n').filter((line) => line.includes('uses:'));
  expect(lines.filter((line) => !/uses: actions\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(line))).toEqual(
    [],
  );
});

test.each(workflows)(
  '$file gives a pull request neither the rights nor the secrets of the repository',
  ({ text, workflow }) => {
    const events = Object.keys(workflow.on);
    expect(events.filter((event) => !['push', 'pull_request'].includes(event))).toEqual([]);
    expect(text).not.toMatch(/\bsecrets\b/);
  },
);

test.each(jobs)(
  '$name may only read the repository, unless it runs none of its code',
  ({ job, workflow }) => {
    const allowed = job.permissions ?? workflow.permissions;
    expect(allowed).toEqual(runsItsCode(job) ? { contents: 'read' } : { 'pull-requests': 'write' });
    if (runsItsCode(job)) expect(JSON.stringify(job)).not.toMatch(/github\.token|GITHUB_TOKEN|GH_TOKEN/);
    expect(job['timeout-minutes']).toBeLessThanOrEqual(60);
  },
);

test('no checkout keeps the token, and no step writes an expression into a script', () => {
  const checkouts = steps.filter(({ uses }) => uses?.startsWith('actions/checkout@'));
  expect(checkouts.length).toBeGreaterThan(0);
  expect(checkouts.filter((step) => step.with?.['persist-credentials'] !== false)).toEqual([]);
  expect(steps.filter(({ run }) => run?.includes('${{'))).toEqual([]);
});

test('every npm script that a workflow runs exists, and the checks of every change run', () => {
  const named = steps.flatMap(({ run }) =>
    [...(run ?? '').matchAll(/npm run ([a-z:-]+)/g)].map(([, name]) => name!),
  );
  expect(named.filter((name) => !(name in scripts))).toEqual([]);
  expect(named).toEqual(expect.arrayContaining(['synth', 'check', 'test:python']));
  expect(steps.map(({ run }) => run)).toEqual(expect.arrayContaining(['npm ci', 'npm test']));
});

test('a workflow runs on the oldest Node that package.json allows', () => {
  const tried = jobs.flatMap(({ job }) => job.strategy?.matrix.node ?? []);
  expect(tried).toContain(/\d+/.exec(engines.node)![0]);
});

test('the text of the comment is passed on unchanged, whatever it contains', () => {
  const text = `${MARKER}\ncomment<<END\nEND\nother=1`;
  const output = shell(synth.steps.find(({ id }) => id === 'diff')!.run!, {
    npx: `printf '%s\\n' ${quoted(text)}`,
  });
  const [, delimiter, given] = /^comment<<([0-9a-f]{32})\n([^]*)\n\1\n$/.exec(output.GITHUB_OUTPUT!)!;
  expect(delimiter).toBeDefined();
  expect(given).toBe(text);
  expect(output.GITHUB_STEP_SUMMARY).toBe(`${text}\n`);
});

test.each([
  ['', '--method POST repos/o/r/issues/7/comments'],
  ['12\n13', '--method PATCH repos/o/r/issues/comments/12'],
])('with the earlier comments %j, the comment is sent once: %s', (before, sent) => {
  const gh = `case $* in *--paginate*) echo ${quoted(before)} ;; *) echo "$*" >> "$LOG"; cat comment.md >> "$LOG" ;; esac`;
  const { LOG } = shell(commenting.steps[0]!.run!, { gh }, { COMMENT: `${MARKER}\n$(x) \`y\`` });
  expect(LOG).toBe(`api --silent ${sent} --field body=@comment.md\n${MARKER}\n$(x) \`y\`\n`);
});

test('the comment looks for the line that the script writes first', () => {
  expect(commenting.steps[0]!.run).toContain(`startswith("${MARKER}")`);
});

describe('the comment on dist/', () => {
  const repository = join(folder, 'repository');
  const git = (...args: string[]) => execFileSync('git', args, { cwd: repository, encoding: 'utf8' });
  const write = (files: Record<string, string>) =>
    Object.entries(files).forEach(([file, text]) => writeFileSync(join(repository, 'dist', file), text));
  const diff = () => distDiff('base', repository);

  beforeEach(() => {
    rmSync(repository, { recursive: true, force: true });
    mkdirSync(join(repository, 'dist'), { recursive: true });
    write({ 'a.yaml': 'replicas: 1\nname: a\n', 'gone.yaml': 'old: 1\n' });
    git('init', '--quiet');
    git('add', '--all');
    git('-c', 'user.name=t', '-c', 'user.email=t@example.com', 'commit', '--quiet', '--message', 'base');
    git('tag', 'base');
  });

  test('of no change is one sentence', () => {
    expect(diff()).toBe(`${MARKER}\n\`dist/\` stays as it is.\n`);
  });

  test('has each file that changed, came or went, with its lines, and then the diff', () => {
    write({ 'a.yaml': 'replicas: 2\nname: a\n', 'new.yaml': 'new: 1\nmore: 1\n' });
    rmSync(join(repository, 'dist', 'gone.yaml'));
    writeFileSync(join(repository, 'README.md'), 'elsewhere');
    const text = diff();
    expect(text).toContain('3 files, 3 lines added, 2 removed.');
    expect(text).toContain(
      '| `dist/a.yaml` | 1 | 1 |\n| `dist/gone.yaml` | 0 | 1 |\n| `dist/new.yaml` | 2 | 0 |\n',
    );
    expect(text).toContain('-replicas: 1\n+replicas: 2\n name: a\n');
    expect(text).not.toContain('elsewhere');
    expect(text).not.toContain('do not fit');
  });

  test('leaves the repository as it was', () => {
    write({ 'new.yaml': 'new: 1\n' });
    const before = git('status', '--porcelain');
    diff();
    expect(before).toBe('?? dist/new.yaml\n');
    expect(git('status', '--porcelain')).toBe(before);
  });

  test('is never longer than GitHub takes, and says what is left out', () => {
    write({ 'long.yaml': 'line: ö\n'.repeat(20_000) });
    const text = diff();
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(65536);
    expect(Buffer.byteLength(text)).toBeGreaterThan(65000);
    const shown = text.match(/^\+line: ö$/gm)!.length;
    expect(text).toContain(`${20_000 - shown} more lines do not fit here.`);
    expect(text).toMatch(/\n```\n\n<\/details>\n/);
  });

  test('names the first hundred of very many files', () => {
    write(Object.fromEntries(Array.from({ length: 120 }, (_, index) => [`f${1000 + index}.yaml`, 'x: 1\n'])));
    const text = diff();
    expect(text.match(/^\| `/gm)).toHaveLength(100);
    expect(text).toContain('And 20 more files.');
    expect(text).toContain('120 files');
  });

  test('has no Markdown but its own, whatever a file is called or contains', () => {
    write({ 'x`|@all<b>.yaml': '```\n# not a heading\n`````\n' });
    const text = diff();
    expect(text).toContain('| `dist/x???all?b?.yaml` | 3 | 0 |');
    expect(text).toContain('\n``````diff\n');
    expect(text).toContain('+`````\n``````\n\n</details>\n');
  });

  test('of an unknown commit is refused in the words of git', () => {
    expect(() => distDiff('nowhere', repository)).toThrow(/Needed a single revision|unknown revision/);
    expect(() => distDiff('--help', repository)).toThrow('failed');
  });
});

/**
 * Runs a step's script with stand-ins for some programs.
 * @returns the texts of its output files and of the stand-ins' log, by their variables
 */
function shell(script: string, programs: Record<string, string>, env: Record<string, string> = {}) {
  const at = mkdtempSync(join(folder, 'step-'));
  for (const [name, body] of Object.entries(programs)) {
    writeFileSync(join(at, name), `#!/usr/bin/env bash\n${body}\n`);
    chmodSync(join(at, name), 0o755);
  }
  const files = ['GITHUB_OUTPUT', 'GITHUB_STEP_SUMMARY', 'LOG'];
  files.forEach((file) => writeFileSync(join(at, file), ''));
  const { status, stderr } = spawnSync('bash', ['-e', '-c', script], {
    cwd: at,
    encoding: 'utf8',
    env: {
      ...process.env,
      ...Object.fromEntries(files.map((file) => [file, join(at, file)])),
      PATH: `${at}:${process.env.PATH}`,
      RUNNER_TEMP: at,
      GITHUB_REPOSITORY: 'o/r',
      COMMENTS: 'repos/o/r/issues/7/comments',
      ...env,
    },
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return Object.fromEntries(files.map((file) => [file, readFileSync(join(at, file), 'utf8')]));
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
