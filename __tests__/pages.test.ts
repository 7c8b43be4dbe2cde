import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { scripts } from '../package.json';

const root = join(__dirname, '..');
/** Every page of prose that a person reads: those of the root, of docs/ and of the tests' cluster. */
const pages = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
  'scripts/cluster/README.md',
].sort();

test('the pages are found', () => {
  expect(pages).toEqual(expect.arrayContaining(['README.ko.md', 'docs/faq.md', 'docs/tutorial/1-data.md']));
  expect(pages.length).toBeGreaterThan(60);
});

describe.each(pages)('%s', (page) => {
  const text = readFileSync(join(root, page), 'utf8');

  test('has links to files and headings that are there', () => {
    const links = [...text.matchAll(/\]\((?!https?:)([^)]+)\)/g)].map(([, link]) => link!);
    expect(links.filter((link) => !leadsSomewhere(page, link))).toEqual([]);
  });

  test('names npm scripts that exist', () => {
    const named = [...text.matchAll(/npm run (?:--silent )?([a-z:-]+)/g)].map(([, script]) => script!);
    expect(named.filter((script) => !(script in scripts))).toEqual([]);
  });
});

describe('a link', () => {
  test.each(['docs/faq.md', 'docs/tutorial', 'README.md#two-commands', '#two-commands', 'LICENSE'])(
    'leads to a file or a heading that exists: %s',
    (link) => expect(leadsSomewhere('README.md', link)).toBe(true),
  );

  test.each(['faq.md', 'docs/faq', 'README.md#three-commands', '#three-commands', 'docs/tutorial#do-it'])(
    'leads to nothing: %s',
    (link) => expect(leadsSomewhere('README.md', link)).toBe(false),
  );
});

function leadsSomewhere(page: string, link: string): boolean {
  const [path, heading] = link.split('#');
  const file = path === '' ? join(root, page) : join(root, dirname(page), path!);
  if (!existsSync(file)) return false;
  if (heading === undefined) return true;
  if (!file.endsWith('.md')) return false;
  const headings = [...readFileSync(file, 'utf8').matchAll(/^#+ (.+)$/gm)].map(([, title]) => anchor(title!));
  return headings.includes(heading);
}

/** The anchor that GitHub makes of a heading. */
function anchor(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}
