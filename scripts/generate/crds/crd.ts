/** A JSON schema in a CRD. Only the keywords that contain schemas have a type. */
export interface Schema {
  description?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  additionalProperties?: boolean | Schema;
  not?: Schema;
  allOf?: Schema[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  [keyword: string]: unknown;
}

/** A CustomResourceDefinition as its project publishes it. */
export interface Crd {
  apiVersion: string;
  kind: string;
  metadata: { name: string; creationTimestamp?: unknown };
  spec: {
    group: string;
    names: { kind: string };
    versions: { name: string; schema: { openAPIV3Schema: Schema } }[];
  };
  status?: unknown;
}

/**
 * The CRD without descriptions, and without fields that only a server writes. `kubectl apply` stores the whole object
 * in an annotation of at most 262,144 bytes, and most of the published CRDs are larger.
 */
export function compact(crd: Crd): Crd {
  const copy = structuredClone(crd);
  delete copy.status;
  delete copy.metadata.creationTimestamp;
  for (const { schema } of copy.spec.versions)
    schema.openAPIV3Schema = withoutDescriptions(schema.openAPIV3Schema);
  return copy;
}

/** A copy without the `description` keyword; properties of that name stay. */
function withoutDescriptions(schema: Schema): Schema {
  return mapSchemas(schema, (copy) => {
    delete copy.description;
    return copy;
  });
}

/** A copy of a schema in which each schema is replaced, the inner ones first. */
export function mapSchemas(schema: Schema, replace: (schema: Schema) => Schema): Schema {
  const inner = (child: Schema): Schema => mapSchemas(child, replace);
  const copy: Schema = { ...schema };
  if (copy.properties) {
    copy.properties = Object.fromEntries(
      Object.entries(copy.properties).map(([name, child]) => [name, inner(child)]),
    );
  }
  if (copy.items) copy.items = inner(copy.items);
  if (copy.not) copy.not = inner(copy.not);
  if (typeof copy.additionalProperties === 'object') {
    copy.additionalProperties = inner(copy.additionalProperties);
  }
  for (const keyword of ['allOf', 'anyOf', 'oneOf'] as const) {
    if (copy[keyword]) copy[keyword] = copy[keyword].map(inner);
  }
  return replace(copy);
}
