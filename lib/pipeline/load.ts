import { type Dirent, existsSync, readdirSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { DefinitionErrors, show } from '../definitions/definition-error';
import { isLitter } from '../definitions/litter';
import { FILES, FUNCTIONS } from '../definitions/names';
import { linkAsText, linkTarget, textFile } from '../definitions/text-file';
import { type Source, SOURCE_FUNCTIONS } from '../collection/source';
import { definePipeline, type PipelineDefinition } from './definition';
import type { LoadedPipeline } from './pipeline';

/** The functions that every model.py must define. */
const REQUIRED_FUNCTIONS = [FUNCTIONS.features, FUNCTIONS.train];

/**
 * Loads every pipeline of a folder, sorted by name. A pipeline is a folder `<name>` with `pipeline.ts`, which exports
 * `pipeline`, and `model.py`. Hidden folders are left out, and folders in which only litter is left, as after the switch
 * to a branch without that pipeline.
 * @throws DefinitionErrors where the folder is empty, a file or a function is missing, a file is not text, or a name is
 * not its folder's.
 */
export function loadPipelines(folder: string): LoadedPipeline[] {
  const names = existsSync(folder)
    ? readdirSync(folder, { withFileTypes: true })
        .filter((entry) => !entry.name.startsWith('.') && !isLitter(entry.name) && isPipeline(folder, entry))
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

/**
 * Whether an entry of the folder is a pipeline's folder, or a symbolic link to one.
 * @throws DefinitionErrors where it is a link that leads nowhere, or that git wrote as text.
 */
function isPipeline(folder: string, entry: Dirent): boolean {
  const path = join(folder, entry.name);
  const refuse = (problem: string) =>
    new DefinitionErrors('a pipeline cannot be synthesized:', [`${relative('', path)}: ${problem}`]);
  if (entry.isSymbolicLink() && !existsSync(path))
    throw refuse('must be a folder, got a symbolic link that leads nowhere; remove it, or correct it');
  const found = statSync(path);
  if (found.isDirectory()) {
    const inside = readdirSync(path);
    return inside.length === 0 || !inside.every(isLitter);
  }
  const target = found.isFile() ? linkTarget(path) : undefined;
  if (target !== undefined && statSync(resolve(folder, target)).isDirectory()) {
    throw refuse(`must be a folder, ${linkAsText(target, 'folder')}`);
  }
  return false;
}

function load(folder: string, shown: string, name: string): LoadedPipeline {
  const problems: string[] = [];
  // By its listing, because a file system that ignores case would find Model.py too, and another would not.
  const there = readdirSync(folder);
  for (const file of ['pipeline.ts', FILES.model].filter((each) => !there.includes(each))) {
    const twin = there.find((each) => each.toLowerCase() === file);
    problems.push(
      `${join(shown, file)}: is required, got ${twin === undefined ? 'no such file' : `'${twin}'; rename it`}`,
    );
  }
  if (name !== name.toLowerCase())
    problems.push(`${shown}: must have a name without upper-case letters, got '${name}'; rename the folder`);
  if (problems.length > 0)
    throw new DefinitionErrors(`pipeline ${show(name)} cannot be synthesized:`, problems);

  const model = textFile(join(folder, FILES.model));
  textFile(join(folder, 'pipeline.ts'));
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
