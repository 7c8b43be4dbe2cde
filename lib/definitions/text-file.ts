import { isUtf8 } from 'node:buffer';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { DefinitionErrors } from './definition-error';

/**
 * The text of a file of the checkout. It is the same however an editor or git has written the file: without a byte
 * order mark, and with `\n` after each line, the last one too. Whatever travels into `dist/` is read here.
 * @throws DefinitionErrors where the file cannot be read, is not UTF-8, or is a symbolic link that git wrote as text.
 */
export function textFile(path: string): string {
  const bytes = bytesOf(path);
  if (UTF_16_MARKS.includes(bytes.toString('hex', 0, 2)))
    throw refusal(path, 'must be text in UTF-8, got UTF-16; save it as UTF-8');
  const zero = bytes.indexOf(0);
  if (zero !== -1)
    throw refusal(
      path,
      `must be text in UTF-8, got a zero byte in line ${linesOf(bytes.subarray(0, zero)).length}; save it as UTF-8`,
    );
  if (!isUtf8(bytes)) {
    // Each line can be looked at alone: no byte of a longer character is one that ends a line.
    const line = linesOf(bytes).findIndex((each) => !isUtf8(Buffer.from(each, 'latin1'))) + 1;
    throw refusal(path, `must be text in UTF-8, got other bytes in line ${line}; save it as UTF-8`);
  }
  const written = bytes.toString('utf8');
  const target = linkTarget(path, written);
  if (target !== undefined) throw refusal(path, `must be the file itself, ${linkAsText(target, 'file')}`);
  const text = written.replace(/^\ufeff+/, '').replaceAll(LINE_END, '\n');
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}

/**
 * What a symbolic link points to, where git wrote it as a file of text. It does so with `core.symlinks=false`, the
 * default on Windows.
 * @returns undefined where the file's text is not the path of something that exists
 */
export function linkTarget(path: string, text = shortText(path)): string | undefined {
  const mayBePath = text !== '' && text.length <= LONGEST_PATH && !text.includes('\n');
  return mayBePath && existsSync(resolve(dirname(path), text)) ? text : undefined;
}

/** What an error says of such a file, after what it must be. */
export function linkAsText(target: string, kind: 'file' | 'folder'): string {
  return `got the path '${target}', which git writes for a symbolic link where core.symlinks is false; put a copy of that ${kind} here`;
}

/** Bytes of the longest path on Linux. */
const LONGEST_PATH = 4096;
const LINE_END = /\r\n?|\n/g;
/** Byte order marks, little-endian and big-endian, in hexadecimal. */
const UTF_16_MARKS = ['fffe', 'feff'];

function bytesOf(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw refusal(path, `must be a file that can be read, got ${(error as NodeJS.ErrnoException).code}`);
  }
}

/** The text of a file that is short enough to be a path, else an empty text. */
function shortText(path: string): string {
  return statSync(path).size > LONGEST_PATH ? '' : readFileSync(path, 'utf8');
}

function linesOf(bytes: Buffer): string[] {
  return bytes.toString('latin1').split(LINE_END);
}

function refusal(path: string, problem: string): DefinitionErrors {
  return new DefinitionErrors('a file cannot be used:', [`${relative('', path)}: ${problem}`]);
}
