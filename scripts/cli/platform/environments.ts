import { environmentName } from '../../../lib/environment';
import { ENVIRONMENT_LABEL } from '../../../lib/kubernetes/labels';
import { PLATFORM_NAMESPACE } from '../../../lib/kubernetes/namespaces';
import { Failure } from '../../command';
import { list } from './kubectl';

/**
 * The folder below `dist/` of an environment, which is given by its name. The workstation's is `dist/` itself.
 * @param folders all folders, `.` among them
 * @throws Failure with the names of all environments where it is none of them
 */
export function environmentFolder(name: string, folders: readonly string[]): string {
  const found = folders.find((folder) => environmentName(folder) === name);
  if (found !== undefined) return found;
  throw new Failure(
    `there is no environment '${name}'; there are ${folders.map(environmentName).join(', ')}`,
  );
}

/** What the cluster runs: a named environment, one of a release that did not store the name yet, or none. */
export type Running = { readonly name: string } | 'unnamed' | 'none';

/** Reads from the platform's namespace which environment the cluster runs. */
export function runningEnvironment(): Running {
  const [namespace] = list<{ metadata: { labels?: Record<string, string> } }>(
    'namespaces',
    `--field-selector=metadata.name=${PLATFORM_NAMESPACE}`,
  );
  if (!namespace) return 'none';
  const name = namespace.metadata.labels?.[ENVIRONMENT_LABEL];
  return name === undefined ? 'unnamed' : { name };
}
