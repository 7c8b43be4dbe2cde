import { cpSync } from 'node:fs';
import { join, relative } from 'node:path';
import { definitionFault } from './lib/definitions/definition-error';

const DIST = join(__dirname, 'dist');
/**
 * The folder that `output` in cdk8s.yaml names. `npx cdk8s synth` deletes it before it runs this program, and lists
 * its files afterwards. It is not dist/, so that a synth that fails leaves dist/ as it was.
 */
const CDK8S_OUTPUT = 'node_modules/.cache/cdk8s';

async function main(): Promise<void> {
  try {
    // Imported here and not at the top, so that the `catch` below also reports a fault in an environment or a file.
    const { loadPipelines, synthesize } = await import('./lib');
    const { environments } = await import('./environments');
    const pipelines = loadPipelines(join(__dirname, 'pipelines'));
    const wanted = process.env.CDK8S_OUTDIR;
    const outdir = wanted === undefined || wanted === CDK8S_OUTPUT ? DIST : wanted;
    synthesize({ environments, pipelines, outdir });
    if (wanted === CDK8S_OUTPUT) cpSync(DIST, CDK8S_OUTPUT, { recursive: true });
    const names = pipelines.map(({ definition }) => definition.name).join(', ');
    console.log(
      `${relative('', outdir)}: ${Object.keys(environments).length} environments, each with ${names}`,
    );
  } catch (error) {
    const message = definitionFault(error);
    if (message === undefined) throw error;
    console.error(message);
    process.exitCode = 1;
  }
}

void main();
