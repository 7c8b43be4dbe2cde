/** `npm run chart`: writes an environment as a Helm chart. */
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { laptop } from '../environments/laptop';
import { production } from '../environments/production';
import { workstation } from '../environments/workstation';
import { DefinitionError, DefinitionErrors, type Environment, loadPipelines } from '../lib';
import { PLATFORM_NAMESPACE } from '../lib/core/stage';
import { MAX_RELEASE_BYTES, writeChart } from '../lib/synth/chart';
import { version } from '../package.json';
import { Failure, run } from './platform/kubectl';

const ROOT = join(__dirname, '..');
const OUTDIR = join(ROOT, 'chart', 'mlops-platform');

const HELP = `usage: npm run chart [-- [laptop|workstation|production] [--outdir FOLDER]]

Writes the platform as a Helm chart without values. Without a name it takes the
workstation, which needs a GPU; the laptop needs none.

  --outdir FOLDER   the chart itself, replaced as a whole (chart/mlops-platform)`;

const ENVIRONMENTS: Readonly<Record<string, Environment>> = { laptop, workstation, production };

void run(() => {
  const { values, positionals } = options();
  if (values.help) return console.log(HELP);
  const [name = 'workstation', ...more] = positionals;
  if (more.length > 0) throw new Failure(`name one environment, got '${positionals.join(' ')}'\n\n${HELP}`);
  if (!Object.hasOwn(ENVIRONMENTS, name))
    throw new Failure(`there is no environment '${name}'; there are ${Object.keys(ENVIRONMENTS).join(', ')}`);

  const { objects, releaseBytes } = write(name, ENVIRONMENTS[name]!, values.outdir);
  const shown = relative(process.cwd(), values.outdir) || '.';
  console.log(`${shown}: ${name}, ${objects} objects; a release takes at most ${releaseBytes} of ${MAX_RELEASE_BYTES} bytes

  helm install mlops-platform ${shown} --namespace ${PLATFORM_NAMESPACE} --create-namespace
  helm upgrade mlops-platform ${shown} --namespace ${PLATFORM_NAMESPACE}`);
});

function options() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        outdir: { type: 'string', default: OUTDIR },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    throw new Failure(`${(error as Error).message}\n\n${HELP}`);
  }
}

function write(name: string, environment: Environment, outdir: string) {
  try {
    return writeChart({
      name,
      environment,
      pipelines: loadPipelines(join(ROOT, 'pipelines')),
      version,
      outdir,
    });
  } catch (error) {
    // A mistake in a definition is the reader's to mend: the message says where. Anything else is ours.
    if (!(error instanceof DefinitionError || error instanceof DefinitionErrors)) throw error;
    throw new Failure(error.message);
  }
}
