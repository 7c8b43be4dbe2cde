/** `npm run rollback PIPELINE`: serves the version again that served before. It does not need Airflow. */
import { parseArgs } from 'node:util';
import { STEPS } from '../../lib/definitions/names';
import { Failure, run } from '../command';
import { oneOf, runStep, specOf } from './platform/step-pod';

const HELP = `usage: npm run rollback PIPELINE

Puts the version that served before back, on every replica, with the checks of
a deployment; a version that fails them changes nothing. Run it again, and the
newer version is back.

KUBECTL names another kubectl, with leading arguments: KUBECTL='k3s kubectl'.`;

void run(async () => {
  const { values, positionals } = parseArgs({
    options: { help: { type: 'boolean', short: 'h', default: false } },
    allowPositionals: true,
  });
  if (values.help) return console.log(HELP);
  const pipeline = oneOf(positionals, HELP);

  const phase = await runStep({ pipeline, spec: specOf(pipeline), name: STEPS.alone.rollback });
  if (phase !== 'Succeeded')
    throw new Failure(
      `the rollback of ${pipeline} did not pass, for the reason above; 'npm run status' says which version serves`,
    );
});
