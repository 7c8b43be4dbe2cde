import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import names from '../contract/names.json';
import { objectsOf } from './support/dist';

const root = join(__dirname, '..');
const pages = ['docs/troubleshooting.md', 'docs/faq.md'];
const text = Object.fromEntries(pages.map((page) => [page, readFileSync(join(root, page), 'utf8')]));
const printed = sources().map((file) => joined(readFileSync(join(root, file), 'utf8'), file));

describe('docs/troubleshooting.md quotes what the code prints', () => {
  test.each(messages(text['docs/troubleshooting.md']!))('%s', (message) => {
    expect(printsIt(message)).toBe(true);
  });
});

test('docs/troubleshooting.md lists the words with which the last line of a step begins', () => {
  const listed = [...text['docs/troubleshooting.md']!.matchAll(/^\| `(\w+):` \|/gm)].map(([, word]) => word!);
  expect(listed).toEqual(Object.values(names.exits).map(({ word }) => word));
});

describe('the comparison finds a message', () => {
  test.each([
    'the replica at … refused version …: …',
    'must be a length of time, as in',
    'systemd is not running here (no /run/systemd/system), and k3s runs as a systemd service',
  ])('that a program prints: %s', (message) => expect(printsIt(message)).toBe(true));

  test.each([
    'the replica at … has refused version …: …',
    'refused version …: the replica at …',
    'must be a length of time, like',
    '…',
  ])('and no other: %s', (message) => expect(printsIt(message)).toBe(false));
});

describe.each(pages)('%s', (page) => {
  test('names only workloads and services that the laptop has', () => {
    const there = objectsOf('laptop').map(({ kind, metadata }) => `${kind.toLowerCase()}/${metadata.name}`);
    const named = [
      ...text[page]!.matchAll(/(?<!\/)\b(?:deployment|statefulset|daemonset|service)\/[a-z-]+/g),
    ];
    expect(named.map(([name]) => name).filter((name) => !there.includes(name))).toEqual([]);
  });
});

/** The messages in the first columns of a page's tables. They stand in backticks. */
function messages(page: string): string[] {
  const cells = [...page.matchAll(/^\| (.+?)(?<!\\) \|/gm)].map(([, cell]) => cell!);
  return cells
    .flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, message]) => message!))
    .filter(isMessage);
}

/** Whether a quotation is a message, not a name, an address or a setting. */
function isMessage(quoted: string): boolean {
  return /[ …]/.test(quoted) || quoted.startsWith('wait-for-');
}

/** Whether one source file has the fixed parts of a message, in their order and close together. */
function printsIt(message: string): boolean {
  const fragments = message
    .split('…')
    .map((fragment) => fragment.trim())
    .filter((fragment) => fragment !== '');
  if (fragments.join('').length < 5) return false;
  const pattern = new RegExp(
    fragments.map((fragment) => fragment.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('[^]{0,120}?'),
  );
  return printed.some((source) => pattern.test(source));
}

/** Paths of the source files of all programs, without tests and without the tests' cluster. */
function sources(): string[] {
  return ['lib', 'scripts', 'python'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter(
        (file) => /\.(ts|py|sh)$/.test(file) && !/(^|\/)(tests|cluster|\.venv|node_modules)\//.test(file),
      )
      .map((file) => join(folder, file)),
  );
}

/** A source text in which each message that is spelled over several lines stands in one line. */
function joined(source: string, file: string): string {
  const between = file.endsWith('.sh') ? ' ' : '';
  return source
    .replace(/["'`]\s*[+\\]?\s*\n\s*f?["'`]/g, between)
    .replace(/\\(["'`])/g, '$1')
    .replaceAll('{{{{', '{{')
    .replaceAll('}}}}', '}}');
}
