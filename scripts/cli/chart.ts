/** `npm run chart`: writes an environment as a Helm chart. */
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import type { Environment } from '../../lib';
import { definitionFault } from '../../lib/definitions/definition-error';
import { PLATFORM_NAMESPACE } from '../../lib/kubernetes/namespaces';
import { version } from '../../package.json';
import { environmentFolder } from './platform/environments';
import { Failure, run } from '../command';

const ROOT = join(__dirname, '../..');
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
  const { objects, releaseBytes, maxReleaseBytes } = await write(name, values.outdir);
  const shown = relative(process.cwd(), values.outdir) || '.';
  console.log(`${shown}: ${name}, ${objects} objects; a release takes at most ${releaseBytes} of ${maxReleaseBytes} bytes

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
    // Imported here, because loading lib takes a second: a wrong option is reported without that delay. And the `catch`
    // below also reports a fault in an environment or in a file.
    const { loadPipelines } = await import('../../lib');
    const { MAX_RELEASE_BYTES, writeChart } = await import('../../lib/synth/chart');
    const { environments } = await import('../../environments');
    const folder = environmentFolder(name, Object.keys(environments));
    const written = writeChart({
      name,
      environment: (environments as Record<string, Environment>)[folder]!,
      pipelines: loadPipelines(join(ROOT, 'pipelines')),
      version,
      outdir,
    });
    return { ...written, maxReleaseBytes: MAX_RELEASE_BYTES };
  } catch (error) {
    const message = definitionFault(error);
    if (message === undefined) throw error;
    throw new Failure(message);
  }
}
