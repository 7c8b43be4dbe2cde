/** `npm run contract`: writes contract/spec.schema.json, the JSON Schema of a pipeline's spec.json. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { pipelineSpecSchema } from '../../lib/pipeline/spec';

export const SPEC_SCHEMA = join(__dirname, '../../contract/spec.schema.json');

/** The JSON Schema of a spec, as text. */
export function specSchema(): string {
  const schema = z.toJSONSchema(pipelineSpecSchema, {
    target: 'draft-7',
    // A custom rule has no JSON Schema of its own; those of `rules` that need one give it in `meta`.
    unrepresentable: 'any',
  });
  return `${JSON.stringify({ title: 'spec.json of a pipeline', ...schema }, null, 2)}\n`;
}

if (require.main === module) writeFileSync(SPEC_SCHEMA, specSchema());
