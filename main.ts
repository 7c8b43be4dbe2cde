import { join } from 'node:path';
import { laptop } from './environments/laptop';
import { production } from './environments/production';
import { workstation } from './environments/workstation';
import { DefinitionError, DefinitionErrors, loadPipelines, synthesize } from './lib';

try {
  synthesize({
    environments: { '.': workstation, laptop, production },
    pipelines: loadPipelines(join(__dirname, 'pipelines')),
    outdir: process.env.CDK8S_OUTDIR ?? join(__dirname, 'dist'),
  });
} catch (error) {
  // A mistake in a definition is the reader's to mend: the message says where. Anything else is ours.
  if (!(error instanceof DefinitionError || error instanceof DefinitionErrors)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
