import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { isLitter } from '../lib/definitions/litter';
import { textFile } from '../lib/definitions/text-file';

const folder = mkdtempSync(join(tmpdir(), 'text-'));
const path = join(folder, 'model.py');
const shown = relative('', path);

afterAll(() => rmSync(folder, { recursive: true }));

const LINES = 'def f():\n    return "é🚕"\n';

test.each<[string, string]>([
  ['as Linux writes it', LINES],
  ['with the line ends of Windows', LINES.replaceAll('\n', '\r\n')],
  ['with the line ends of an old Mac', LINES.replaceAll('\n', '\r')],
  ['with mixed line ends', 'def f():\r\n    return "é🚕"\r'],
  ['without the last line end', LINES.slice(0, -1)],
  ['with half of the last line end of Windows', `${LINES.slice(0, -1)}\r`],
  ['with a byte order mark', `\ufeff${LINES}`],
  ['with all that an editor on Windows does', `\ufeff${LINES.replaceAll('\n', '\r\n').slice(0, -2)}`],
])('a file %s is the same text', (_, text) => {
  expect(read(text)).toBe(LINES);
});

test.each(['', '\n', '\n\n', 'x = "\u2028\u0085\f\v"\n', '\n\ttext  \n\n'])('%j stays as it is', (text) => {
  expect(read(text)).toBe(text);
});

test.each<[string, Buffer, string]>([
  [
    'UTF-16 of Windows',
    Buffer.from(`\ufeff${LINES}`, 'utf16le'),
    'must be text in UTF-8, got UTF-16; save it as UTF-8',
  ],
  [
    'UTF-16 of a Mac',
    Buffer.from(`\ufeff${LINES}`, 'utf16le').swap16(),
    'must be text in UTF-8, got UTF-16; save it as UTF-8',
  ],
  [
    'UTF-16 without a mark',
    Buffer.from(LINES, 'utf16le'),
    'must be text in UTF-8, got a zero byte in line 1; save it as UTF-8',
  ],
  [
    'a zero byte',
    Buffer.from('a\r\nb\rc\0\n'),
    'must be text in UTF-8, got a zero byte in line 3; save it as UTF-8',
  ],
  [
    'Latin-1',
    Buffer.from('# one\r\n# café\r\n', 'latin1'),
    'must be text in UTF-8, got other bytes in line 2; save it as UTF-8',
  ],
  [
    'a character that is cut off',
    Buffer.from([0x23, 0xc3, 0x0a]),
    'must be text in UTF-8, got other bytes in line 1; save it as UTF-8',
  ],
])('%s is refused, with the line', (_, bytes, problem) => {
  expect(() => read(bytes)).toThrow(`a file cannot be used:\n  - ${shown}: ${problem}`);
});

test('a symbolic link is followed; one that git wrote as text is refused', () => {
  writeFileSync(join(folder, 'other.py'), LINES);
  rmSync(path, { force: true });
  symlinkSync('other.py', path);
  expect(textFile(path)).toBe(LINES);
  rmSync(path);
  expect(() => read('other.py')).toThrow(
    `${shown}: must be the file itself, got the path 'other.py', which git writes for a symbolic link where core.symlinks is false; put a copy of that file here`,
  );
  expect(read('other.py\n')).toBe('other.py\n');
  expect(read('another.py')).toBe('another.py\n');
});

test.each(['ENOENT', 'EISDIR', 'ELOOP'])('what cannot be read is refused: %s', (code) => {
  rmSync(path, { force: true, recursive: true });
  if (code === 'EISDIR') mkdirSync(path);
  if (code === 'ELOOP') symlinkSync('model.py', path);
  expect(() => textFile(path)).toThrow(`${shown}: must be a file that can be read, got ${code}`);
  rmSync(path, { force: true, recursive: true });
});

test('litter is what systems, editors and Python leave beside files, and no file of ours', () => {
  const litter = [
    ...['.DS_Store', '._model.py', 'Thumbs.db', 'desktop.ini', 'model.py~', '#model.py#', '.#model.py'],
    ...['.model.py.swp', 'model.py.orig', '__pycache__', 'model.cpython-311.pyc', '.pytest_cache'],
  ];
  expect(litter.filter((name) => !isLitter(name))).toEqual([]);
  const ours = [
    'model.py',
    'pipeline.ts',
    'test_model.py',
    'README.md',
    'Kustomization',
    '.gitkeep',
    '00-crds.yaml',
  ];
  expect(ours.filter(isLitter)).toEqual([]);
});

test('nothing else in lib/ reads a text that travels into dist/', () => {
  const lib = join(__dirname, '../lib');
  const readers = readdirSync(lib, { recursive: true, encoding: 'utf8' }).filter(
    (file) =>
      file.endsWith('.ts') &&
      /\b(readFile|createReadStream|openSync)/.test(readFileSync(join(lib, file), 'utf8')),
  );
  // The second one looks at the first line of files that it replaces.
  expect(readers.sort()).toEqual(['definitions/text-file.ts', 'synth/replace-folder.ts']);
});

function read(content: string | Buffer): string {
  writeFileSync(path, content);
  return textFile(path);
}
