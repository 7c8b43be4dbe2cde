import { gzipSync } from 'node:zlib';
import { loadAll } from 'js-yaml';
import type { Manifest } from '../validation/manifests';
import { DefinitionErrors } from '../definitions/definition-error';
import { PLATFORM_NAMESPACE } from '../kubernetes/namespaces';
import type { Environment } from '../environment';
import type { LoadedPipeline } from '../pipeline/pipeline';
import { namespaceLabels } from './chart-namespace';
import { notes, refusals } from './chart-notes';
import { templates } from './chart-template';
import { customResourceDefinitions } from './custom-resource-definitions';
import { render } from './render';
import { replaceFolder } from './replace-folder';
import { yaml } from './yaml';

export interface ChartProps {
  /** Name of the environment. */
  readonly name: string;
  readonly environment: Environment;
  readonly pipelines: readonly LoadedPipeline[];
  /** Version of the chart, in three numbers: `0.1.0`. */
  readonly version: string;
  /** Folder of the chart. It is replaced as a whole, once everything was rendered and checked. */
  readonly outdir: string;
}

/** What was written. */
export interface WrittenChart {
  /** Number of objects that Helm creates and removes. */
  readonly objects: number;
  /** The most bytes that a release of it takes in the Secret in which Helm stores it. */
  readonly releaseBytes: number;
}

/**
 * Bytes that a Secret may hold, and with it a Helm release, which is one Secret.
 * @see https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size
 */
export const MAX_RELEASE_BYTES = 2 ** 20;

/**
 * Writes one environment as a Helm chart without values: docs/decisions/0004.
 * @throws DefinitionErrors with every fault. Nothing is written then.
 */
export function writeChart(props: ChartProps): WrittenChart {
  const objects = chartObjects(props.name, props.environment, props.pipelines);
  const all = [...objects.values()].flat();
  const written = templates(objects);
  written.set('refusals.yaml', refusals());
  written.set('NOTES.txt', notes(props.name, all, props.environment.monitoring));

  const files = new Map<string, string>([
    ['Chart.yaml', yaml(metadata(props) as unknown as Manifest)],
    ['values.yaml', '# There are none: what differs between clusters is an environment, in TypeScript.\n'],
    ...definitions(props.environment).map((crd): [string, string] => [
      // In one line, because Helm stores it in every release.
      `crds/${crd.metadata.name}.yaml`,
      `${JSON.stringify(crd)}\n`,
    ]),
    ...[...written].map(([name, text]): [string, string] => [`templates/${name}`, text]),
  ]);
  const releaseBytes = sizeOfRelease(files, all);
  if (releaseBytes > MAX_RELEASE_BYTES) {
    throw new DefinitionErrors(`no chart is written of environment '${props.name}':`, [
      `a Helm release holds ${MAX_RELEASE_BYTES} bytes, and this one would need ${releaseBytes}; leave pipelines out, or apply dist/, which has no such limit`,
    ]);
  }
  replaceFolder(props.outdir, new Map([...files].map(([path, text]) => [path, HEADER + text])), HEADER);
  return { objects: all.length, releaseBytes };
}

const HEADER = '# Written by `npm run chart`. Change the TypeScript it comes from, not this file.\n';

function definitions({ monitoring }: Environment): Manifest[] {
  if (!monitoring.bringsDefinitions) return [];
  return customResourceDefinitions().flatMap((text) => loadAll(text)) as Manifest[];
}

/**
 * The objects of the chart, file by file. They differ from those of `dist/`: the definitions and the release's own
 * namespace are left out, a Job labels that namespace, and claims are kept when the release is removed.
 */
export function chartObjects(
  name: string,
  environment: Environment,
  pipelines: readonly LoadedPipeline[],
): Map<string, Manifest[]> {
  const files = new Map<string, Manifest[]>();
  for (const [file, rendered] of render(name, environment, pipelines)) {
    const own = rendered.find(isOwnNamespace);
    if (own) files.set('05-namespace', namespaceLabels(own));
    files.set(file, rendered.filter((manifest) => !isOwnNamespace(manifest)).map(keepData));
  }
  return files;
}

function isOwnNamespace({ kind, metadata }: Manifest): boolean {
  return kind === 'Namespace' && metadata.name === PLATFORM_NAMESPACE;
}

/** Keeps a claim of the platform's namespace. A claim of another namespace is deleted with that namespace. */
function keepData(manifest: Manifest): Manifest {
  const { kind, metadata } = manifest;
  if (kind !== 'PersistentVolumeClaim' || metadata.namespace !== PLATFORM_NAMESPACE) return manifest;
  const annotations = { ...metadata.annotations, 'helm.sh/resource-policy': 'keep' };
  return { ...manifest, metadata: { ...metadata, annotations } };
}

function metadata({ name, version }: ChartProps): object {
  return {
    apiVersion: 'v2',
    name: 'mlops-platform',
    description: `A model's whole life on Kubernetes: the ${name}`,
    type: 'application',
    version,
    appVersion: version,
  };
}

/** Margin for what Helm adds to a release, and for Go's compression, which differs a little from Node's. */
const MARGIN = 1.02;

/**
 * Estimates the bytes of a release: Helm stores the chart's files and the rendered objects as compressed JSON in
 * base64.
 */
function sizeOfRelease(files: ReadonlyMap<string, string>, objects: readonly Manifest[]): number {
  const chart = [...files].map(([name, text]) => ({
    name,
    data: Buffer.from(HEADER + text).toString('base64'),
  }));
  const manifest = objects.map((object) => `---\n${yaml(object)}`).join('');
  const compressed = gzipSync(JSON.stringify({ chart, manifest }), { level: 9 });
  return Math.ceil((compressed.length * MARGIN * 4) / 3);
}
