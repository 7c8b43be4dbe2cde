import { join } from 'node:path';
import { isMistake, loadPipelines, synthesize } from './lib';

async function main(): Promise<void> {
  try {
    // Not at the top, so that a mistake in an environment is told as one in a pipeline is.
    const { environments } = await import('./environments');
    synthesize({
      environments,
      pipelines: loadPipelines(join(__dirname, 'pipelines')),
      outdir: process.env.CDK8S_OUTDIR ?? join(__dirname, 'dist'),
    });
  } catch (error) {
    if (!isMistake(error)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}

void main();
