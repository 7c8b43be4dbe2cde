import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { DefinitionErrors, show } from '../definitions/definition-error';
import { FILES, FUNCTIONS } from '../definitions/names';
import { type Source, SOURCE_FUNCTIONS } from '../collection/source';
import { definePipeline, type PipelineDefinition } from './definition';
import type { LoadedPipeline } from './pipeline';

/** The functions that every model.py must define. */
const REQUIRED_FUNCTIONS = [FUNCTIONS.features, FUNCTIONS.train];

/**
 * Loads every pipeline of a folder, sorted by name. A pipeline is a folder `<name>` with `pipeline.ts`, which exports
 * `pipeline`, and `model.py`.
 * @throws DefinitionErrors where the folder is empty, a file or a function is missing, or a name is not its folder's.
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
  // Only a pipeline's path is known, so that it cannot be imported statically. definePipeline checks its values.
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
    ...REQUIRED_FUNCTIONS,
    // An unknown type has no functions here; definePipeline below reports it.
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
  // Checked again: only the type checker ensures that definePipeline made it, and synth does not check types.
  return { definition: definePipeline(pipeline!), model };
}
