import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Manifest } from '../../../lib/validation/manifests';
import { DEFINITIONS_FILE } from '../../../lib/synth/custom-resource-definitions';
import { applierObjects, removeApplier } from './applier';
import { planDefinitions, presentDefinitions, refuseUndefined } from './definitions';
import { Failure } from '../../command';
import { kubectl, send, tryKubectl } from './kubectl';
import { appliedFiles, appliedObjects, customResources } from './manifests';

/** The longest time from the apply of a definition until kubectl knows its kind. */
const SECONDS_TO_ESTABLISH = 60;

/**
 * Applies a folder: the definitions first, and the rest once their kinds are known. kubectl looks up the kind of every
 * object before it sends the first, so that both in one apply fail on a fresh cluster.
 * @returns kubectl's lines, one an object
 * @throws Failure before anything is applied, where somebody else's definitions would be replaced or nobody's are there
 */
export async function applyFolder(folder: string): Promise<string[]> {
  const { apply, leave, absent } = plan(appliedObjects(folder));
  const applier = applierObjects();
  const files = appliedFiles(folder).filter((name) => name !== DEFINITIONS_FILE);
  const lines = apply.length > 0 ? [send(['apply'], apply)] : [];
  if (leave.length > 0)
    console.log(`Definitions that stay as they are, somebody else's and of our version: ${leave.join(', ')}`);
  if (absent.length > 0) await established(absent);
  if (applier.length > 0) {
    console.log(
      `The applier of an earlier release goes, and all that it applied stays: ${applier.length} objects.`,
    );
    removeApplier(applier);
  }
  lines.push(kubectl('apply', ...files.map((name) => `--filename=${join(folder, name)}`)));
  return lines.flatMap((text) => text.split('\n')).filter((line) => line !== '');
}

/**
 * Checks a folder by kubectl's client-side dry run. On a cluster without the definitions it leaves out their custom
 * resources, whose kinds kubectl does not know.
 * @returns the number of objects that would be applied
 * @throws Failure as applyFolder does, and where kubectl refuses an object
 */
export function dryRun(folder: string): number {
  const objects = appliedObjects(folder);
  const { absent } = plan(objects);
  const unknown = absent.length > 0 ? customResources(objects) : [];
  send(
    ['apply', '--dry-run=client'],
    objects.filter((object) => !unknown.includes(object)),
  );
  return objects.length;
}

function plan(objects: readonly Manifest[]) {
  const definitions = objects.filter(({ kind }) => kind === 'CustomResourceDefinition');
  const present = presentDefinitions();
  refuseUndefined(customResources(objects), [...definitions.map(({ metadata }) => metadata), ...present]);
  return planDefinitions(definitions, present);
}

/** Waits until kubectl finds the kinds, which the API server lists a moment after the definitions are established. */
async function established(definitions: readonly string[]): Promise<void> {
  const titles = definitions.map((name) => `customresourcedefinition/${name}`);
  kubectl('wait', '--for=condition=Established', ...titles, `--timeout=${SECONDS_TO_ESTABLISH}s`);
  const end = performance.now() + SECONDS_TO_ESTABLISH * 1000;
  for (;;) {
    const { status, stderr } = tryKubectl('get', definitions.join(','), '--all-namespaces', '--output=name');
    if (status === 0) return;
    if (performance.now() > end) throw new Failure(`the definitions are not served:\n${stderr.trim()}`);
    await sleep(500);
  }
}
