import { cpSync } from 'node:fs';
import { join, relative } from 'node:path';
import { loadPipelines, mistake, synthesize } from './lib';

const DIST = join(__dirname, 'dist');
/**
 * `output` in cdk8s.yaml. `npx cdk8s synth` deletes that folder before it runs this program, whose
 * failure must leave dist whole; afterwards it lists the files that it finds there.
 */
const CDK8S_OUTPUT = 'node_modules/.cache/cdk8s';

async function main(): Promise<void> {
  try {
    // Not at the top, so that a mistake in an environment is told as one in a pipeline is.
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
    const told = mistake(error);
    if (told === undefined) throw error;
    console.error(told);
    process.exitCode = 1;
  }
}

void main();
