import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { DefinitionErrors } from '../definitions/definition-error';
import { isLitter } from '../definitions/litter';

/**
 * Replaces a folder as a whole. The new one is written beside the old one and then renamed, so that a failure leaves
 * the old one as it was, and no file of the old one remains.
 * @param files path below the folder to content
 * @param header first line of every generated file
 * @throws DefinitionErrors where the folder has a file that does not begin with the header, litter aside.
 */
export function replaceFolder(folder: string, files: ReadonlyMap<string, string>, header: string): void {
  const target = resolve(folder);
  refuseForeignFiles(target, header);
  mkdirSync(dirname(target), { recursive: true });
  // Beside the target: a rename across file systems would be a copy.
  const aside = mkdtempSync(join(dirname(target), '.synth-'));
  try {
    const fresh = join(aside, 'new');
    for (const [path, content] of files) {
      mkdirSync(dirname(join(fresh, path)), { recursive: true });
      writeFileSync(join(fresh, path), content);
    }
    swap(target, fresh, join(aside, 'old'));
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}

function swap(target: string, fresh: string, old: string): void {
  const existed = existsSync(target);
  if (existed) renameSync(target, old);
  try {
    renameSync(fresh, target);
  } catch (error) {
    if (existed) renameSync(old, target);
    throw error;
  }
}

function refuseForeignFiles(folder: string, header: string): void {
  if (!existsSync(folder)) return;
  const foreign = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory() && !isLitter(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    // Git may have written the file with other line ends.
    .filter((path) => !readFileSync(path, 'utf8').replace(/\r\n?/g, '\n').startsWith(header));
  if (foreign.length > 0) {
    throw new DefinitionErrors(
      `${folder} will not be replaced, because it holds files that no synth wrote; move them, or write elsewhere:`,
      foreign,
    );
  }
}
