import type { Manifest } from '../../../lib/validation/manifests';
import { OWNERSHIP_LABELS } from '../../../lib/kubernetes/labels';
import { Failure } from '../../command';
import { kubectl } from './kubectl';

/** A definition as the cluster has it. */
export interface Present {
  readonly name: string;
  /** Version of the Prometheus operator that it belongs to; empty where it names none. */
  readonly version: string;
  readonly managedBy: string;
  /** Whether its schema has a description. Ours has none: with them it is too large for `kubectl apply`. */
  readonly prose: boolean;
}

/** What is to be done with our definitions. */
export interface Plan {
  readonly apply: readonly Manifest[];
  /** Names of somebody else's definitions of the same version, which stay as they are. */
  readonly leave: readonly string[];
  /** Names of definitions that the cluster lacks. */
  readonly absent: readonly string[];
}

const VERSION = 'operator.prometheus.io/version';
const MANAGED_BY = 'app.kubernetes.io/managed-by';

/** All definitions of the cluster. */
export function presentDefinitions(): Present[] {
  const table = kubectl('get', 'customresourcedefinitions', `--output=go-template=${TABLE}`);
  return table
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [name, version, managedBy, prose] = line.split('\t') as [string, string, string, string];
      return { name, version, managedBy, prose: prose === 'prose' };
    });
}

/** A table and not JSON, because the definitions of a cluster with many operators are tens of megabytes. */
const TABLE = `{{range .items}}{{.metadata.name}}
{{- "\\t"}}{{with .metadata.annotations}}{{with index . "${VERSION}"}}{{.}}{{end}}{{end}}
{{- "\\t"}}{{with .metadata.labels}}{{with index . "${MANAGED_BY}"}}{{.}}{{end}}{{end}}
{{- "\\t"}}{{with (index .spec.versions 0).schema}}{{with .openAPIV3Schema}}{{with .description}}prose{{end}}{{end}}{{end}}
{{- "\\n"}}{{end}}`;

/**
 * Which of our definitions may be applied over what the cluster has.
 * @throws Failure where the cluster has newer ones, or somebody else's of another version
 */
export function planDefinitions(wanted: readonly Manifest[], present: readonly Present[]): Plan {
  const pairs = wanted.map((ours) => ({
    ours,
    theirs: present.find(({ name }) => name === ours.metadata.name),
  }));
  const there = pairs.flatMap(({ ours, theirs }) => (theirs ? [{ ours, theirs }] : []));
  const foreign = there.filter(({ ours, theirs }) => isNewer(theirs, ours) || isSomebodyElses(theirs, ours));
  const refused = foreign.filter(({ ours, theirs }) => theirs.version !== versionOf(ours));
  if (refused.length > 0) throw new Failure(refusal(refused));
  const leave = foreign.map(({ theirs }) => theirs.name);
  return {
    apply: wanted.filter(({ metadata }) => !leave.includes(metadata.name)),
    leave,
    absent: pairs.flatMap(({ ours, theirs }) => (theirs ? [] : [ours.metadata.name])),
  };
}

/**
 * Checks that every custom resource has a definition, either in the folder or, with somebody else's Prometheus, in the
 * cluster.
 * @throws Failure with the names of the missing definitions
 */
export function refuseUndefined(
  customResources: readonly Manifest[],
  defined: readonly { readonly name: string }[],
): void {
  const needed = [...new Set(customResources.map(definitionOf))].sort();
  const missing = needed.filter((name) => !defined.some((each) => each.name === name));
  if (missing.length === 0) return;
  throw new Failure(
    [
      'this environment is watched by a Prometheus that somebody else runs, and the cluster lacks what its operator ' +
        'would have brought. Nothing was applied. There is no definition of',
      ...missing.map((name) => `  ${name}`),
      'Install that Prometheus and its operator first (kube-prometheus-stack, say), or take Monitoring.existing out of ' +
        'the environment, and the platform brings its own.',
    ].join('\n'),
  );
}

/** `servicemonitors.monitoring.coreos.com`. The plural of each of these kinds is regular. */
function definitionOf({ apiVersion, kind }: Manifest): string {
  return `${kind.toLowerCase()}${kind.endsWith('s') ? 'es' : 's'}.${apiVersion.split('/')[0]}`;
}

function versionOf({ metadata }: Manifest): string {
  return metadata.annotations?.[VERSION] ?? '';
}

function isNewer({ version }: Present, ours: Manifest): boolean {
  return version.localeCompare(versionOf(ours), 'en', { numeric: true }) > 0;
}

function isSomebodyElses({ version, managedBy, prose }: Present, ours: Manifest): boolean {
  if (managedBy === OWNERSHIP_LABELS[MANAGED_BY]) return false;
  // Ours of earlier releases have no label; they have today's version, and no descriptions.
  return version !== versionOf(ours) || prose;
}

function refusal(pairs: readonly { ours: Manifest; theirs: Present }[]): string {
  const lines = pairs.map(
    ({ ours, theirs }) =>
      `  ${theirs.name}: ${theirs.version || 'of unknown version'}, ${theirs.managedBy === OWNERSHIP_LABELS[MANAGED_BY] ? 'from a newer release of this platform' : "somebody else's"}; ours is ${versionOf(ours)}`,
  );
  return [
    'the cluster has definitions of a Prometheus operator that are not replaced by ours. Nothing was applied:',
    ...lines,
    "Where a newer release of this platform runs here, deploy with that. Somebody else's Prometheus operator needs " +
      'its definitions: let its Prometheus watch the platform (monitoring: Monitoring.existing({ … }) in the ' +
      'environment, docs/existing-prometheus.md), or use a cluster without one.',
  ].join('\n');
}
