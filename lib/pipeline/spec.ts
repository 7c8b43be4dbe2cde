import { z } from 'zod';
import { collectionSpecSchema } from '../collection/data-collection';
import { parse } from '../definitions/parse';
import { API_VERSION } from '../definitions/names';
import { monitoringSpecSchema } from '../monitoring/model-monitoring';
import { registrySpecSchema } from '../registry/model-registration';
import { servingSpecSchema } from '../serving/model-deployment';
import { trainingSpecSchema } from '../training/model-training';
import { stepsSpecSchema } from '../workflow/step-pods';

/**
 * The schema of a pipeline's spec.json, which Python reads: one key for each stage, whose schema is in the stage's
 * module. No key has a default, because the defaults are filled in before. `npm run contract` writes it to
 * contract/spec.schema.json.
 */
export const pipelineSpecSchema = z.strictObject({
  apiVersion: z.literal(API_VERSION),
  name: z.string(),
  owner: z.string(),
  description: z.string().optional(),
  schedule: z.string(),
  collection: collectionSpecSchema,
  training: trainingSpecSchema,
  registry: registrySpecSchema,
  serving: servingSpecSchema,
  monitoring: monitoringSpecSchema,
  steps: stepsSpecSchema,
});

export type PipelineSpec = z.output<typeof pipelineSpecSchema>;

/**
 * The text of a pipeline's spec.json.
 * @throws DefinitionErrors where a key is missing, unknown or of another type than the schema says.
 */
export function specText(spec: PipelineSpec): string {
  // Through JSON and back: keys whose value is undefined are not in the file, and must not count as present.
  const json: unknown = JSON.parse(JSON.stringify(spec));
  return `${JSON.stringify(parse(pipelineSpecSchema, json, `spec of pipeline '${spec.name}'`), null, 2)}\n`;
}
