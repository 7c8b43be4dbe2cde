import { ApiObject, App } from 'cdk8s';
import { checkContract } from '../contract/contract';
import type { Manifest } from '../contract/manifests';
import { DefinitionErrors, show } from '../core/definition-error';
import { CLUSTER_SCOPED, type Stage } from '../core/stage';
import { type Environment, environmentName } from '../environment';
import type { PipelineSource } from '../pipeline/pipeline';
import { Platform } from '../platform';

/** File name, without its ending, to the objects in it. */
export type Rendered = Map<string, Manifest[]>;

/**
 * One environment's objects, file by file, after every contract between them was checked.
 *
 * Linear in the number of objects. cdk8s' own `App.synth` resolves dependencies and
 * validates the whole app once for each chart; nothing here uses chart dependencies,
 * because order is the file names' business.
 * @throws DefinitionErrors with every violation.
 */
export function render(
  name: string,
  environment: Environment,
  pipelines: readonly PipelineSource[],
): Rendered {
  const subject = `environment '${name}'`;
  refuseTwins(subject, pipelines);
  const app = new App({ outdir: 'unused' });
  const platform = new Platform(app, environmentName(name), environment, pipelines);

  const files: Rendered = new Map();
  const invalid: string[] = [];
  for (const construct of app.node.findAll()) {
    invalid.push(...construct.node.validate());
    if (!ApiObject.isApiObject(construct)) continue;
    const { file } = construct.chart as Stage;
    const objects = files.get(file) ?? [];
    objects.push(manifestOf(construct));
    files.set(file, objects);
  }
  if (invalid.length > 0) throw new DefinitionErrors(`${subject} is invalid:`, invalid);

  checkContract([...files.values()].flat(), {
    subject,
    secrets: [...platform.foundation.secrets.generated, ...environment.externalSecrets],
    metrics: platform.observability.knownMetrics,
  });
  return files;
}

function refuseTwins(subject: string, pipelines: readonly PipelineSource[]): void {
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
