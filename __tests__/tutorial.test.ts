import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { blocks, copyOfTree, difference, fences, PAGES, play } from './cluster/support/tutorial';

const folder = mkdtempSync(join(tmpdir(), 'pages-'));
const pages = PAGES.map((page) => [basename(page), page, readFileSync(page, 'utf8')] as const);
const chapters = pages.filter(([name]) => name !== 'README.md');

afterAll(() => rmSync(folder, { recursive: true }));

test('the tutorial is an index and seven chapters, and the index names each', () => {
  expect(chapters.map(([name]) => name[0])).toEqual([...'1234567']);
  const [, , index] = pages[0]!;
  for (const [name] of chapters) expect(index).toContain(`](${name})`);
});

describe.each(pages)('%s', (_, page, text) => {
  test('has only blocks of commands, of their output, and of commands that the tests do not run', () => {
    const all = fences(text);
    expect(all.filter(({ language }) => !['sh', 'text', 'console'].includes(language))).toEqual([]);
    expect(all.filter((fence) => fence.text.trim() === '')).toEqual([]);
    // Each block of output follows the block of its commands at once.
    const outputs = all.filter(({ language }) => language === 'text').length;
    expect(blocks(text).filter(({ expected }) => expected !== undefined)).toHaveLength(outputs);
  });

  test('says before each block that the tests do not run why they do not', () => {
    const silent = fences(text).filter(
      ({ language, before }) =>
        language === 'console' && !/^The tests do not run this: .{20,}$/.test(before.split('\n').at(-1)!),
    );
    expect(silent).toEqual([]);
  });

  test('has no line of prose longer than 125 characters', () => {
    const prose = fences(text).reduce((rest, fence) => rest.replace(fence.text, ''), text);
    const long = prose.split('\n').filter((line) => line.length > 125 && !line.startsWith('|'));
    expect(long).toEqual([]);
  });
});

test.each(chapters)('%s has the parts of a chapter', (_, __, text) => {
  const headings = text.split('\n').filter((line) => line.startsWith('## '));
  expect(headings).toEqual(['## Do it', '## Why it is so', '## Break it', '## Where you are']);
});

test('a chapter reads the shorthands before it uses the first', () => {
  const defined = [
    ...readFileSync(join(dirname(PAGES[0]!), 'shorthands.sh'), 'utf8').matchAll(/^(\w+)\(\)/gm),
  ].map(([, name]) => name!);
  expect(defined).toEqual(['airflow', 'mc', 'mlflow', 'promql', 'wait_for']);
  const used = new RegExp(`^(${defined.join('|')}) `, 'm');
  for (const [name, , text] of chapters) {
    const typed = fences(text)
      .filter(({ language }) => ['sh', 'console'].includes(language))
      .map((fence) => fence.text);
    const first = typed.findIndex((command) => used.test(command));
    const read = typed.findIndex((command) => command.includes('. docs/tutorial/shorthands.sh'));
    if (first >= 0) expect({ name, inTime: read >= 0 && read <= first }).toEqual({ name, inTime: true });
  }
});

describe('the output that a page expects', () => {
  test.each([
    ['version 1', 'version 1\n'],
    ['version …', 'version 17'],
    ['{"requests": …, "failed": 0…}', '{"requests": 4711, "failed": 0, "versions": {}}'],
    ['…\nready', 'one\ntwo\nready'],
    ['…\nready', 'ready'],
    ['ready\n…', 'ready\n\nmore'],
    ['first\n…\nlast', 'first\n\nbetween\nlast'],
    ['a (b) [c] $d', 'a (b) [c] $d'],
    ['plain', '\u001b[32mplain\u001b[0m  \r\n'],
    ['…', ''],
  ])('%j matches %j', (expected, output) => {
    expect(difference(expected, output)).toBeUndefined();
  });

  test.each([
    ['version 1', 'version 2', 'version 1'],
    ['version 1', 'version 1\nand more', 'the end of the output'],
    ['…\nready', 'not ready yet', 'ready'],
    ['"failed": 0,…', '"failed": 10, "versions"', '"failed": 0,…'],
    ['first\nsecond', 'first', 'second'],
    ['second\nfirst', 'first\nsecond', 'second'],
    ['a.c', 'abc', 'a.c'],
    ['  indented', 'indented', '  indented'],
  ])('%j does not match %j', (expected, output, missing) => {
    expect(difference(expected, output)).toBe(missing);
  });
});

describe('a page that is played', () => {
  test('is typed into one shell, in its order', async () => {
    const page = write(
      '# A page',
      sh('name=world', 'greet() { echo "hello $1"; }', 'sleep 300 > /dev/null 2>&1 &'),
      sh('greet "$name" >&2'),
      text('hello …'),
      'Not run:',
      '```console\nexit 1\n```',
      sh('kill $!', 'echo "$HERE in $PWD"'),
      text(`there in …${basename(folder)}`),
    );
    const played = await play(page, folder, { HERE: 'there' });
    expect(played.map(({ line }) => line)).toEqual([2, 7, 17]);
    expect(played[1]!.output).toBe('hello world\n');
  });

  test.each([
    [[sh('echo first', 'false', 'echo second')], /:1\necho first\nfalse\n.*\n\nended with 1\n\nfirst\n$/],
    [[sh('false | true')], /ended with 1/],
    [[sh('echo "$NOT_SET"')], /unbound variable/],
    [[sh('echo one'), text('two')], /does not say: two\n\none/],
    [[sh('if true')], /ended with [12]\n[^]*syntax error/],
    [[sh('exit 0'), sh('echo never')], /ended with 0/],
  ])('%j is a failure that names line, command and output', async (parts, said) => {
    await expect(play(write(...parts), folder)).rejects.toThrow(said);
  });

  test('fails where a block takes longer than its limit', async () => {
    const page = write(sh('echo begun', 'sleep 300'));
    await expect(play(page, folder, {}, { seconds: 1 })).rejects.toThrow(/did not end within 1 s\n\nbegun/);
  });

  test('is typed into the shell that another program starts, where one is given', async () => {
    const page = write(sh('echo "$WITHIN"'), text('a node'));
    await play(page, folder, {}, { within: ['env', 'WITHIN=a node'] });
  });
});

describe('a copy of the work tree', () => {
  let copy: string;

  beforeAll(() => {
    copy = copyOfTree();
  });

  afterAll(() => rmSync(copy, { recursive: true }));

  test("is a clean clone whose taxis come from the tests' file server", async () => {
    const page = write(
      sh('git status --short', 'git log --oneline | wc -l', 'grep -o "url: .*month" pipelines/*/pipeline.ts'),
      text('1', "url: 'http://10.89.0.1/green_tripdata_{{ month"),
    );
    await play(page, copy);
  });

  test.each(chapters.filter(([name]) => /^[67]/.test(name)))(
    'plays %s, which needs no cluster, to its end',
    async (_, page) => {
      await play(page, copy);
    },
    300_000,
  );
});

function write(...parts: string[]): string {
  const page = join(folder, 'page.md');
  writeFileSync(page, parts.join('\n'));
  return page;
}

function sh(...lines: string[]): string {
  return ['```sh', ...lines, '```'].join('\n');
}

function text(...lines: string[]): string {
  return ['```text', ...lines, '```'].join('\n');
}
