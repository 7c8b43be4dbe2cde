/** `npm run chart`: writes an environment as a Helm chart. */
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { type Environment, loadPipelines, mistake } from '../lib';
import { PLATFORM_NAMESPACE } from '../lib/kubernetes/namespaces';
import { MAX_RELEASE_BYTES, writeChart } from '../lib/synth/chart';
import { version } from '../package.json';
import { environmentFolder } from './platform/environments';
import { Failure, run } from './platform/kubectl';

const ROOT = join(__dirname, '..');
const OUTDIR = join(ROOT, 'chart', 'mlops-platform');

const HELP = `usage: npm run chart [-- [ENVIRONMENT] [--outdir FOLDER]]

Writes the platform as a Helm chart without values. Without a name it takes the
workstation, which needs a GPU; the laptop needs none. Each folder of dist/ is
another environment.

  --outdir FOLDER   the chart itself, replaced as a whole (chart/mlops-platform)`;

void run(async () => {
  const { values, positionals } = options();
  if (values.help) return console.log(HELP);
  const [name = 'workstation', ...more] = positionals;
  if (more.length > 0) throw new Failure(`name one environment, got '${positionals.join(' ')}'\n\n${HELP}`);
  const { objects, releaseBytes } = await write(name, values.outdir);
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

async function write(name: string, outdir: string) {
  try {
    // Not at the top, so that a mistake in an environment is told as one in a pipeline is.
    const { environments } = await import('../environments');
    const folder = environmentFolder(name, Object.keys(environments));
    return writeChart({
      name,
      environment: (environments as Record<string, Environment>)[folder]!,
      pipelines: loadPipelines(join(ROOT, 'pipelines')),
      version,
      outdir,
    });
  } catch (error) {
    const told = mistake(error);
    if (told === undefined) throw error;
    throw new Failure(told);
  }
}
