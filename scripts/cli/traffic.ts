/** `npm run traffic PIPELINE -- --batch 2024-01`: sends the rows of a batch to the model that serves. */
import { parseArgs } from 'node:util';
import { STEPS } from '../../lib/definitions/names';
import { Failure, run } from '../command';
import { oneOf, runStep, specOf } from './platform/step-pod';

const HELP = `usage: npm run traffic PIPELINE -- --batch BATCH [--seconds 300] [--clients 2] [--pause 0.1]

Asks the model that serves with the rows of a batch, drawn at random: BATCH is a
period of the pipeline's source, as in 2024-01, whether it was collected or not.
Each of --clients asks for a few rows at once, waits for the answer, and pauses
--pause seconds. The last line says as JSON what became of the requests.

It is traffic as any other: it is sampled, shows as drift where the rows are
unlike those the model learned from, and drift may have the model trained again.
Ctrl-C ends it. With the default alerts a new version takes over some nine minutes
after the first drifted request: --seconds 900 sees it.

KUBECTL names another kubectl, with leading arguments: KUBECTL='k3s kubectl'.`;

void run(async () => {
  const { values, positionals } = parseArgs({
    options: {
      batch: { type: 'string' },
      seconds: { type: 'string', default: '300' },
      clients: { type: 'string', default: '2' },
      pause: { type: 'string', default: '0.1' },
      help: { type: 'boolean', short: 'h', default: false },
    },
    allowPositionals: true,
  });
  if (values.help) return console.log(HELP);
  const pipeline = oneOf(positionals, HELP);
  if (!values.batch) throw new Failure(`name a batch behind --batch\n\n${HELP}`);

  const { batch, seconds, clients, pause } = values;
  const phase = await runStep({
    pipeline,
    spec: specOf(pipeline),
    name: STEPS.alone.traffic,
    args: Object.entries({ batch, seconds, clients, pause }).map(([name, value]) => `--${name}=${value}`),
    asksSource: true,
    signal: interrupted(),
  });
  if (phase !== 'Succeeded') throw new Failure('the traffic did not pass, for the reason above');
});

/** A signal that is aborted at Ctrl-C. The handlers stay, because npm passes the interrupt on a second time. */
function interrupted(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM']) process.on(name, () => controller.abort());
  return controller.signal;
}
