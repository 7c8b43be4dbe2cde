import { Failure } from '../../command';

/**
 * The folder below `dist/` of the environment that a person named; `dist/` itself is the workstation's.
 * @param folders those that there are, `.` among them
 * @throws Failure with the names of those that there are
 */
export function environmentFolder(name: string, folders: readonly string[]): string {
  const found = folders.find((folder) => nameOf(folder) === name);
  if (found !== undefined) return found;
  throw new Failure(`there is no environment '${name}'; there are ${folders.map(nameOf).join(', ')}`);
}

function nameOf(folder: string): string {
  return folder === '.' ? 'workstation' : folder;
}
