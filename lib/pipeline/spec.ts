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
 * A pipeline as Python reads it: what each stage says of itself, put together. No key has a default:
 * what a definition leaves out was filled in before. `npm run contract` makes contract/spec.schema.json of it.
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
 * @throws DefinitionErrors when a key is missing, unknown or of another type than Python is told.
 */
export function specText(spec: PipelineSpec): string {
  // As JSON says it: without what is undefined, which Python never sees.
  const json: unknown = JSON.parse(JSON.stringify(spec));
  return `${JSON.stringify(parse(pipelineSpecSchema, json, `spec of pipeline '${spec.name}'`), null, 2)}\n`;
}
