import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PIPELINES = join(__dirname, '../../../pipelines');

/**
 * Why a `dist/` is not what the definitions say now.
 * @returns undefined where it is
 */
export async function stale(dist: string): Promise<string | undefined> {
  const scratch = mkdtempSync(join(tmpdir(), 'dist-'));
  const fresh = join(scratch, 'dist');
  // Not at the top: it takes a second, which is too long before a word on a name that is misspelt.
  const { loadPipelines, mistake, synthesize } = await import('../../../lib');
  try {
    const { environments } = await import('../../../environments');
    synthesize({ environments, pipelines: loadPipelines(PIPELINES), outdir: fresh });
    const files = [...new Set([...yamlOf(dist), ...yamlOf(fresh)])].sort();
    const differing = files.filter((file) => textOf(dist, file) !== textOf(fresh, file));
    return differing.length > 0 ? `'npm run synth' would change ${differing.join(', ')}` : undefined;
  } catch (error) {
    const told = mistake(error);
    if (told === undefined) throw error;
    return told;
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
