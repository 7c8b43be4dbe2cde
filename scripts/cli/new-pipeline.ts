/** `npm run new-pipeline NAME`: writes a working pipeline, which the user then changes. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { parseArgs } from 'node:util';
import { isLitter } from '../../lib/definitions/litter';
import { rules } from '../../lib/definitions/rules';
import { textFile } from '../../lib/definitions/text-file';
import { Failure, run } from '../command';

const HELP = `usage: npm run new-pipeline NAME [-- --folder FOLDER]

Makes FOLDER/NAME (pipelines/NAME) with

  pipeline.ts     what the model is, in TypeScript
  model.py        its functions: collect, features and train
  test_model.py   a test of them, which 'npm run test:python' runs

It works as it is, on data it makes up. Change it step by step into your own.`;

const TEMPLATE = join(__dirname, '../templates/pipeline');
const ENDING = '.template';
const LIB = join(__dirname, '../../lib');
const PIPELINES = join(__dirname, '../../pipelines');

void run(() => {
  const { values, positionals } = parseArgs({
    options: {
      help: { type: 'boolean', short: 'h', default: false },
      folder: { type: 'string', default: PIPELINES },
    },
    allowPositionals: true,
  });
  if (values.help) return console.log(HELP);
  const [name, ...more] = positionals;
  if (name === undefined || more.length > 0) throw new Failure(`name one pipeline\n\n${HELP}`);
  const refused = rules.dnsLabel(40).safeParse(name);
  if (!refused.success) throw new Failure(`'${name}' ${refused.error.issues[0]!.message}`);

  const folder = join(values.folder, name);
  const shown = relative(process.cwd(), folder);
  if (existsSync(folder))
    throw new Failure(`${shown} is there already; choose another name, or change what is there`);
  fill(folder, name);
  console.log(`${shown} is there. Now:

  npm run synth                    and read what it adds to dist/
  npm run test:python              to run its test
  npm run deploy -- ENVIRONMENT    to run it in the cluster`);
});

function templates(): string[] {
  return readdirSync(TEMPLATE).filter((file) => file.endsWith(ENDING) && !isLitter(file));
}

/** Writes the files under another name first, so that an error never leaves an incomplete pipeline. */
function fill(folder: string, name: string): void {
  const partial = join(folder, '..', `.${name}.partial`);
  try {
    mkdirSync(partial, { recursive: true });
    for (const file of templates()) {
      const text = textFile(join(TEMPLATE, file))
        .replaceAll('NAME', name)
        // An import has slashes on Windows too.
        .replace('../../lib', relative(folder, LIB).replaceAll(sep, '/'));
      writeFileSync(join(partial, file.slice(0, -ENDING.length)), text);
    }
    renameSync(partial, folder);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}
