import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { DefinitionErrors, show } from '../definitions/definition-error';
import { FILES, FUNCTIONS } from '../definitions/names';
import type { Source } from '../collection/source';
import { definePipeline, type PipelineDefinition } from './definition';
import type { LoadedPipeline } from './pipeline';

/** The two functions that only a model's owner can write. */
const OWNERS_FUNCTIONS = [FUNCTIONS.features, FUNCTIONS.train];

/** What a source of each type needs of model.py besides. */
const SOURCE_FUNCTIONS: Readonly<Record<Source['type'], readonly string[]>> = {
  http: [],
  s3: [],
  sql: [],
  python: [FUNCTIONS.collect],
};

/**
 * Every pipeline of a folder, sorted by name: `<folder>/<name>/pipeline.ts`, which
 * exports `pipeline`, beside `model.py`.
 * @throws DefinitionErrors for an empty folder, a missing file or function, or a name that is not its folder's.
 */
export function loadPipelines(folder: string): LoadedPipeline[] {
  const names = existsSync(folder)
    ? readdirSync(folder, { withFileTypes: true })
        .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
        .map((entry) => entry.name)
        .sort()
    : [];
  const shown = relative(process.cwd(), folder) || folder;
  if (names.length === 0) {
    throw new DefinitionErrors('no pipeline to synthesize:', [
      `${shown}: must hold a folder for each model, as in ${join(shown, 'trip-duration', 'pipeline.ts')}, got none`,
    ]);
  }
  return names.map((name) => load(resolve(folder, name), join(shown, name), name));
}

function load(folder: string, shown: string, name: string): LoadedPipeline {
  const problems: string[] = [];
  const missing = ['pipeline.ts', FILES.model].filter((file) => !existsSync(join(folder, file)));
  for (const file of missing) problems.push(`${join(shown, file)}: is required, got no such file`);
  if (problems.length > 0)
    throw new DefinitionErrors(`pipeline ${show(name)} cannot be synthesized:`, problems);

  const model = readFileSync(join(folder, FILES.model), 'utf8');
  // A definition's module is known only by its path; it is checked when it calls definePipeline.
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const { pipeline } = require(join(folder, 'pipeline.ts')) as { pipeline?: PipelineDefinition };
  if (!pipeline) {
    problems.push(
      `${join(shown, 'pipeline.ts')}: must export 'pipeline', made by definePipeline, got nothing`,
    );
  } else if (pipeline.name !== name) {
    problems.push(
      `${join(shown, 'pipeline.ts')}: name must be its folder's, '${name}', got ${show(pipeline.name)}`,
    );
  }
  const functions = [
    ...OWNERS_FUNCTIONS,
    // Of a type that there is not, definePipeline below tells.
    ...(SOURCE_FUNCTIONS[(pipeline?.source as Source | undefined)?.type ?? 'http'] ?? []),
  ];
  for (const wanted of functions) {
    if (!new RegExp(`^def ${wanted}\\(`, 'm').test(model)) {
      problems.push(
        `${join(shown, FILES.model)}: must define the function '${wanted}' at its top level, got none`,
      );
    }
  }
  if (problems.length > 0)
    throw new DefinitionErrors(`pipeline ${show(name)} cannot be synthesized:`, problems);
  // Once more, because only the type checker says that definePipeline made it.
  return { definition: definePipeline(pipeline!), model };
}
