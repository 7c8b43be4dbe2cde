import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadAll } from 'js-yaml';
import type { Manifest } from '../../lib/validation/manifests';
import { type Crd, mapSchemas, type Schema } from '../../scripts/generate/crds/crd';

const folder = join(__dirname, '..', '..', 'imports', 'crds');

/**
 * JSON Schemas of the vendored custom resources, by `apiVersion/kind`. They are strict: a key that the definition does
 * not have is refused.
 */
export function crdSchemas(): Map<string, Schema> {
  return new Map(
    [...openApiSchemas()].map(([key, schema]) => {
      const [, apiVersion, kind] = /^(.+)\/(\w+)$/.exec(key)!;
      return [key, resource(apiVersion!, kind!, schema)];
    }),
  );
}

/** The OpenAPI schemas as the Prometheus operator's project publishes them, by `apiVersion/kind`. */
function openApiSchemas(): Map<string, Schema> {
  const crds = readdirSync(folder).flatMap(
    (file) => loadAll(readFileSync(join(folder, file), 'utf8')) as Crd[],
  );
  return new Map(
    crds.flatMap(({ spec }) =>
      spec.versions.map(({ name, schema }) => [
        `${spec.group}/${name}/${spec.names.kind}`,
        schema.openAPIV3Schema,
      ]),
    ),
  );
}

/**
 * Lists the fields inside lists that an object leaves out although its definition has a default for them, as
 * `ServiceMonitor/triton: /spec/endpoints/0/relabelings/0/action`. The API server fills such a field in. kubectl
 * compares a list of a custom resource as one value, so it would patch the object with every apply and never print
 * `unchanged`.
 */
export function omittedListDefaults(object: Manifest): string[] {
  schemas ??= openApiSchemas();
  const schema = schemas.get(`${object.apiVersion}/${object.kind}`);
  if (!schema) return [];
  const paths = omitted(object.spec, schema.properties!.spec!, '/spec', false);
  return paths.map((path) => `${object.kind}/${object.metadata.name}: ${path}`);
}

let schemas: Map<string, Schema> | undefined;

function omitted(value: unknown, schema: Schema, path: string, inList: boolean): string[] {
  if (Array.isArray(value))
    return value.flatMap((item, i) => omitted(item, schema.items ?? {}, `${path}/${i}`, true));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(schema.properties ?? {}).flatMap(([key, child]) => {
    const item = (value as Record<string, unknown>)[key];
    if (item !== undefined) return omitted(item, child, `${path}/${key}`, inList);
    return inList && 'default' in child ? [`${path}/${key}`] : [];
  });
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

// An API server drops unknown keys of a custom resource without an error, so the schema refuses them.
function strict(schema: Schema): Schema {
  const copy: Schema = {};
  for (const [keyword, value] of Object.entries(schema)) {
    if (!keyword.startsWith('x-kubernetes-') && keyword !== 'format' && keyword !== 'nullable')
      copy[keyword] = value;
  }
  if (schema.properties && !schema['x-kubernetes-preserve-unknown-fields'])
    copy.additionalProperties ??= false;
  // JavaScript has no flag for case inside a pattern: only the lower-case spelling passes.
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
