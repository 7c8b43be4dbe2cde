import { ApiObject, App } from 'cdk8s';
import { validate } from '../validation/validation';
import type { Manifest } from '../validation/manifests';
import { DefinitionErrors, show } from '../definitions/definition-error';
import { type ManifestFile } from '../kubernetes/manifest-file';
import { CLUSTER_SCOPED } from '../kubernetes/namespaces';
import { type Environment, environmentName } from '../environment';
import type { LoadedPipeline } from '../pipeline/pipeline';
import { Platform } from '../platform';

/** File name, without its ending, to the objects in it. */
export type Rendered = Map<string, Manifest[]>;

/**
 * Renders an environment's objects, file by file, and checks them against each other.
 *
 * It does not use cdk8s' own `App.synth`, which resolves dependencies and validates the whole app once for each
 * chart. Here the time is linear in the number of objects. Charts have no dependencies, because file names give the
 * order.
 * @throws DefinitionErrors with every fault.
 */
export function render(
  name: string,
  environment: Environment,
  pipelines: readonly LoadedPipeline[],
): Rendered {
  const subject = `environment '${name}'`;
  refuseDuplicates(subject, pipelines);
  const app = new App({ outdir: 'unused' });
  const platform = new Platform(app, environmentName(name), environment, pipelines);

  const files: Rendered = new Map();
  const invalid: string[] = [];
  for (const construct of app.node.findAll()) {
    invalid.push(...construct.node.validate());
    if (!ApiObject.isApiObject(construct)) continue;
    const { file } = construct.chart as ManifestFile;
    const objects = files.get(file) ?? [];
    objects.push(manifestOf(construct));
    files.set(file, objects);
  }
  if (invalid.length > 0) throw new DefinitionErrors(`${subject} is invalid:`, invalid);

  validate([...files.values()].flat(), {
    subject,
    secrets: [...platform.foundation.secrets.generated, ...environment.externalSecrets],
    metrics: platform.observability.knownMetrics,
    otherNamespaces: environment.monitoring.otherNamespaces,
  });
  return files;
}

function refuseDuplicates(subject: string, pipelines: readonly LoadedPipeline[]): void {
  const names = pipelines.map(({ definition }) => definition.name);
  const twins = names.filter((name, i) => names.indexOf(name) !== i);
  if (twins.length === 0) return;
  throw new DefinitionErrors(
    `${subject} is invalid:`,
    twins.map(
      (name) => `pipelines: must each have a name of their own; rename one of two, got ${show(name)}`,
    ),
  );
}

function manifestOf(object: ApiObject): Manifest {
  const manifest = object.toJson() as Manifest;
  if (!CLUSTER_SCOPED.includes(manifest.kind)) return manifest;
  const { namespace: _, ...metadata } = manifest.metadata;
  return { ...manifest, metadata };
}
