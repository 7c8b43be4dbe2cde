import { join, relative } from 'node:path';
import { loadPipelines, mistake, synthesize } from './lib';

async function main(): Promise<void> {
  try {
    // Not at the top, so that a mistake in an environment is told as one in a pipeline is.
    const { environments } = await import('./environments');
    const pipelines = loadPipelines(join(__dirname, 'pipelines'));
    const outdir = process.env.CDK8S_OUTDIR ?? join(__dirname, 'dist');
    synthesize({ environments, pipelines, outdir });
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
