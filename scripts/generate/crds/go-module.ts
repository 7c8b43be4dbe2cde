import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A release of somebody else's source, with the SHA-256 of each file taken from it. */
export interface GoModule {
  /** The module path, as in a go.mod. */
  readonly path: string;
  readonly version: string;
  /** From the path inside the module to the SHA-256 of the file, in hex. */
  readonly files: Readonly<Record<string, string>>;
}

/**
 * The text of a pinned module's files, by their path inside the module. It needs Go, and the network where Go's module
 * cache lacks the release.
 *
 * @throws if the module cannot be had, or a file is not the one that was pinned.
 */
export function readPinned(module: GoModule): Map<string, string> {
  const folder = download(module);
  return new Map(
    Object.entries(module.files).map(([file, pinned]) => {
      const content = readFileSync(join(folder, file));
      const actual = createHash('sha256').update(content).digest('hex');
      if (actual !== pinned) {
        throw new Error(
          `${file} of ${module.path}@${module.version} has SHA-256 ${actual}, but ${pinned} is pinned`,
        );
      }
      return [file, content.toString('utf8')];
    }),
  );
}

function download({ path, version }: GoModule): string {
  const release = `${path}@${version}`;
  let answer: string;
  try {
    answer = execFileSync('go', ['mod', 'download', '-json', release], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  } catch (error) {
    const { code, stdout, message } = error as NodeJS.ErrnoException & { stdout?: string };
    if (code === 'ENOENT') {
      throw new Error(
        `${release} is fetched with 'go mod download', and no 'go' is on the PATH: install Go`,
        {
          cause: error,
        },
      );
    }
    const reason = stdout ? (JSON.parse(stdout) as { Error?: string }).Error : undefined;
    throw new Error(`cannot download ${release}: ${reason ?? message}`, { cause: error });
  }
  return (JSON.parse(answer) as { Dir: string }).Dir;
}
