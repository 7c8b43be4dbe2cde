import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { definitionFault } from '../../../lib/definitions/definition-error';
import { isLitter } from '../../../lib/definitions/litter';
import { textFile } from '../../../lib/definitions/text-file';

const PIPELINES = join(__dirname, '../../../pipelines');

/**
 * Compares a `dist/` with what a synth of the current definitions writes.
 * @returns why they differ, or undefined where they are equal
 */
export async function stale(dist: string): Promise<string | undefined> {
  const scratch = mkdtempSync(join(tmpdir(), 'dist-'));
  const fresh = join(scratch, 'dist');
  try {
    // Imported here, because loading lib takes a second: a misspelt name is reported without that delay.
    const { loadPipelines, synthesize } = await import('../../../lib');
    const { environments } = await import('../../../environments');
    synthesize({ environments, pipelines: loadPipelines(PIPELINES), outdir: fresh });
    const files = [...new Set([...filesOf(dist), ...filesOf(fresh)])].sort();
    const differing = files.filter((file) => textOf(dist, file) !== textOf(fresh, file));
    return differing.length > 0 ? `'npm run synth' would change ${differing.join(', ')}` : undefined;
  } catch (error) {
    const message = definitionFault(error);
    if (message === undefined) throw error;
    return message;
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !isLitter(entry.name))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}

function textOf(folder: string, file: string): string | undefined {
  const path = join(folder, file);
  return existsSync(path) ? textFile(path) : undefined;
}
