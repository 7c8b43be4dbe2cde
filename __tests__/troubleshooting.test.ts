import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import names from '../contract/names.json';
import { objectsOf } from './support/dist';

const root = join(__dirname, '..');
const pages = ['docs/troubleshooting.md', 'docs/faq.md'];
const text = Object.fromEntries(pages.map((page) => [page, readFileSync(join(root, page), 'utf8')]));
const printed = sources().map((file) => joined(readFileSync(join(root, file), 'utf8'), file));

describe('troubleshooting quotes what the code prints', () => {
  test.each(messages(text['docs/troubleshooting.md']!))('%s', (message) => {
    expect(printsIt(message)).toBe(true);
  });
});

test('troubleshooting knows the words that a step ends with', () => {
  const told = [...text['docs/troubleshooting.md']!.matchAll(/^\| `(\w+):` \|/gm)].map(([, word]) => word!);
  expect(told).toEqual(Object.values(names.exits).map(({ word }) => word));
});

describe('a message is known', () => {
  test.each([
    'the replica at … refused version …: …',
    'must be a length of time, as in',
    'systemd is not running here (no /run/systemd/system), and k3s runs as a systemd service',
  ])('when a program prints it: %s', (message) => expect(printsIt(message)).toBe(true));

  test.each([
    'the replica at … has refused version …: …',
    'refused version …: the replica at …',
    'must be a length of time, like',
    '…',
  ])('and not otherwise: %s', (message) => expect(printsIt(message)).toBe(false));
});

describe.each(pages)('%s', (page) => {
  test('names workloads and services that the laptop has', () => {
    const there = objectsOf('laptop').map(({ kind, metadata }) => `${kind.toLowerCase()}/${metadata.name}`);
    const named = [
      ...text[page]!.matchAll(/(?<!\/)\b(?:deployment|statefulset|daemonset|service)\/[a-z-]+/g),
    ];
    expect(named.map(([name]) => name).filter((name) => !there.includes(name))).toEqual([]);
  });
});

/** What stands in backticks in the first column of a table. */
function messages(page: string): string[] {
  const cells = [...page.matchAll(/^\| (.+?)(?<!\\) \|/gm)].map(([, cell]) => cell!);
  return cells
    .flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, message]) => message!))
    .filter(isMessage);
}

/** Names, addresses and settings are no messages. */
function isMessage(quoted: string): boolean {
  return /[ …]/.test(quoted) || quoted.startsWith('wait-for-');
}

/** Whether one file has the message's fixed parts, in order and close together. */
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

/** The programs: what runs here and what runs in the cluster, without tests and without the tests' cluster. */
function sources(): string[] {
  return ['lib', 'scripts', 'python'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter(
        (file) => /\.(ts|py|sh)$/.test(file) && !/(^|\/)(tests|cluster|\.venv|node_modules)\//.test(file),
      )
      .map((file) => join(folder, file)),
  );
}

/** A message that a program spells over several lines, in one. */
function joined(source: string, file: string): string {
  const between = file.endsWith('.sh') ? ' ' : '';
  return source
    .replace(/["'`]\s*[+\\]?\s*\n\s*f?["'`]/g, between)
    .replace(/\\(["'`])/g, '$1')
    .replaceAll('{{{{', '{{')
    .replaceAll('}}}}', '}}');
}
