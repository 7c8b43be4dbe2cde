import { environmentName } from '../../../lib/environment';
import { ENVIRONMENT_LABEL } from '../../../lib/kubernetes/labels';
import { PLATFORM_NAMESPACE } from '../../../lib/kubernetes/namespaces';
import { Failure } from '../../command';
import { list } from './kubectl';

/**
 * The folder below `dist/` of the environment that a person named; `dist/` itself is the workstation's.
 * @param folders those that there are, `.` among them
 * @throws Failure with the names of those that there are
 */
export function environmentFolder(name: string, folders: readonly string[]): string {
  const found = folders.find((folder) => environmentName(folder) === name);
  if (found !== undefined) return found;
  throw new Failure(
    `there is no environment '${name}'; there are ${folders.map(environmentName).join(', ')}`,
  );
}

/** What the cluster runs: an environment by name, one that was applied before they left their name, or none. */
export type Running = { readonly name: string } | 'unnamed' | 'none';

/** Reads it from the platform's namespace. */
export function runningEnvironment(): Running {
  const [namespace] = list<{ metadata: { labels?: Record<string, string> } }>(
    'namespaces',
    `--field-selector=metadata.name=${PLATFORM_NAMESPACE}`,
  );
  if (!namespace) return 'none';
  const name = namespace.metadata.labels?.[ENVIRONMENT_LABEL];
  return name === undefined ? 'unnamed' : { name };
}
