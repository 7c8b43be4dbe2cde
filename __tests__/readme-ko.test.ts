import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(__dirname, '..');
const read = (page: string) => readFileSync(join(root, page), 'utf8');
const english = read('README.md');
const korean = read('README.ko.md');
const FENCED = /^```(\w*)\n([^]*?)^```$/gm;

describe('the Korean README keeps step with the English one', () => {
  test.each(Object.keys(parts(english)) as (keyof Parts)[])('in its %s', (part) => {
    expect(parts(korean)[part]).toEqual(parts(english)[part]);
  });

  test('and each begins with a link to the other', () => {
    expect(english.split('\n')[0]).toContain('](README.ko.md)');
    expect(korean.split('\n')[0]).toContain('](README.md)');
  });
});

describe('the comparison', () => {
  test.each<[keyof Parts, string, string]>([
    ['blocks', 'npm run chart -- laptop ', 'npm run chart -- production '],
    ['blocks', '--create-namespace\n', '\n'],
    ['blocks', "name: 'trip-duration'", "name: 'trip'"],
    ['blocks', 'a pod for each step', 'a pod for a step'],
    ['headings', '\n## ', '\n### '],
    ['links', '](docs/bootstrap.md)', '](docs/lifecycle.md)'],
    ['tables', '| --- | --- | --- |', '| --- | --- |'],
    ['tables', '| `npm run check` |\n', '| `npm run check` |\n| | |\n'],
    ['code', '`npm run rollback PIPELINE`', '`npm run rollback`'],
    ['code', "'{.data.admin-password}'", "'{.data.password}'"],
  ])('sees in the %s that %j became %j', (part, from, to) => {
    const changed = english.replace(from, () => to);
    expect(changed).not.toBe(english);
    expect(parts(changed)[part]).not.toEqual(parts(english)[part]);
  });

  test('ignores the comments of a shell block', () => {
    const block = '```sh\nnpm run synth     # writes dist/\n# all of it\nmake "#1"\n```\n';
    const translated = '```sh\nnpm run synth   # dist/를 생성합니다\n# 전부\nmake "#1"\n```\n';
    expect(parts(translated)).toEqual(parts(block));
    expect(parts(translated.replace('"#1"', '"#2"'))).not.toEqual(parts(block));
  });

  test('does not ignore the comments of any other block', () => {
    expect(parts('```ts\nrun(); // now\n```\n')).not.toEqual(parts('```ts\nrun(); // 지금\n```\n'));
  });
});

/** The parts of a page that a translation must not change. */
interface Parts {
  /** Levels of the headings, in order. */
  readonly headings: number[];
  /** Language and lines of each fenced block, in order, without the comments of shell blocks. */
  readonly blocks: string[];
  /** Targets of the links, in order, without the two pages' links to one another. */
  readonly links: string[];
  /** Number of columns of each row, in order. */
  readonly tables: number[];
  /** Quotations in backticks, sorted, because two languages order a sentence differently. */
  readonly code: string[];
}

function parts(page: string): Parts {
  const text = prose(page);
  return {
    headings: [...text.matchAll(/^(#+) /gm)].map(([, hashes]) => hashes!.length),
    blocks: [...page.matchAll(FENCED)].map(
      ([, language, body]) => `${language}\n${withoutComments(language!, body!)}`,
    ),
    links: links(text).filter((link) => !/^README(\.ko)?\.md$/.test(link)),
    tables: [...text.matchAll(/^\|.*\|$/gm)].map(([row]) => row.split(/(?<!\\)\|/).length - 2),
    code: [...text.matchAll(/`([^`]+)`/g)].map(([, code]) => code!).sort(),
  };
}

function prose(page: string): string {
  return page.replace(FENCED, '');
}

function links(text: string): string[] {
  return [...text.matchAll(/\]\(([^)]+)\)|(https?:\/\/[^\s)|]+)/g)].map(
    ([, target, bare]) => (target ?? bare)!,
  );
}

/** A shell's comment begins a line, or follows a space outside quotes. */
function withoutComments(language: string, body: string): string {
  if (language !== 'sh') return body;
  const code = /^((?:[^'"#]|(?<=\S)#|'[^']*'|"[^"]*")*?)\s*(?:(?<=^|\s)#.*)?$/;
  return body
    .split('\n')
    .map((line) => code.exec(line)?.[1] ?? line)
    .join('\n');
}
