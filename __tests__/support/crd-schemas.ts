import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadAll } from 'js-yaml';
import { type Crd, mapSchemas, type Schema } from '../../scripts/generate/crds/crd';

const folder = join(__dirname, '..', '..', 'imports', 'crds');

/** Strict schemas of the vendored custom resources, by `apiVersion/kind`. */
export function crdSchemas(): Map<string, Schema> {
  const crds = readdirSync(folder).flatMap(
    (file) => loadAll(readFileSync(join(folder, file), 'utf8')) as Crd[],
  );
  return new Map(
    crds.flatMap(({ spec }) =>
      spec.versions.map(({ name, schema }) => {
        const apiVersion = `${spec.group}/${name}`;
        const { kind } = spec.names;
        return [`${apiVersion}/${kind}`, resource(apiVersion, kind, schema.openAPIV3Schema)];
      }),
    ),
  );
}

function resource(apiVersion: string, kind: string, schema: Schema): Schema {
  const { spec = {} } = mapSchemas(schema, strict).properties ?? {};
  return {
    type: 'object',
    properties: {
      spec,
      apiVersion: { const: apiVersion },
      kind: { const: kind },
      metadata: { $ref: 'core#/$defs/meta.v1.ObjectMeta' },
    },
    required: ['spec'],
    additionalProperties: false,
  };
}

// An API server drops unknown keys of a custom resource without a word.
function strict(schema: Schema): Schema {
  const copy: Schema = {};
  for (const [keyword, value] of Object.entries(schema)) {
    if (!keyword.startsWith('x-kubernetes-') && keyword !== 'format' && keyword !== 'nullable')
      copy[keyword] = value;
  }
  if (schema.properties && !schema['x-kubernetes-preserve-unknown-fields'])
    copy.additionalProperties ??= false;
  // JavaScript cannot ignore case inside a pattern: only the lower-case spelling passes.
  if (typeof copy.pattern === 'string') copy.pattern = copy.pattern.replace('(?i)', '');
  if (schema['x-kubernetes-int-or-string']) {
    delete copy.anyOf;
    copy.type = ['integer', 'string'];
  }
  if (schema.nullable) copy.type = [schema.type, 'null'].flat();
  if (schema.format === 'int32') copy.maximum ??= 2 ** 31 - 1;
  if (schema['x-kubernetes-list-type'] === 'set') copy.uniqueItems = true;
  if (schema['x-kubernetes-list-type'] === 'map') copy.uniqueBy = schema['x-kubernetes-list-map-keys'];
  return copy;
}
