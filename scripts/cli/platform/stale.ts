import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PIPELINES = join(__dirname, '../../../pipelines');

/**
 * Compares a `dist/` with what a synth of the current definitions writes.
 * @returns why they differ, or undefined where they are equal
 */
export async function stale(dist: string): Promise<string | undefined> {
  const scratch = mkdtempSync(join(tmpdir(), 'dist-'));
  const fresh = join(scratch, 'dist');
  // Imported here, because loading lib takes a second: a misspelt name is reported without that delay.
  const { definitionFault, loadPipelines, synthesize } = await import('../../../lib');
  try {
    const { environments } = await import('../../../environments');
    synthesize({ environments, pipelines: loadPipelines(PIPELINES), outdir: fresh });
    const files = [...new Set([...yamlOf(dist), ...yamlOf(fresh)])].sort();
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

function yamlOf(folder: string): string[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return files.filter((file) => file.endsWith('.yaml'));
}

function textOf(folder: string, file: string): string | undefined {
  const path = join(folder, file);
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}
