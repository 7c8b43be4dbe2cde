/**
 * `npm run vendor-schemas`: writes the strict schemas of Kubernetes' own kinds, with which the tests validate dist/.
 * The published schemas allow unknown keys, and lack enumerations and the limits on names, which are in the server's
 * code.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type GoModule, readPinned } from './crds/go-module';

const swagger = 'api/openapi-spec/swagger.json';
const generated = 'pkg/generated/openapi/zz_generated.openapi.go';

/** The release with whose API the manifests are validated. */
const kubernetes: GoModule = {
  path: 'k8s.io/kubernetes',
  version: 'v1.34.4',
  files: {
    [swagger]: 'd3b0cdc2fda15c753206d25ab459dc7c12df64e2fd652b6809687471ea751c37',
    [generated]: 'a3e93f5a6d109cacd198ed42a662d657d87f12caa0bc8030062f990105a399aa',
  },
};

const kinds = [
  'apiextensions.v1.CustomResourceDefinition',
  'apps.v1.DaemonSet',
  'apps.v1.Deployment',
  'apps.v1.StatefulSet',
  'autoscaling.v2.HorizontalPodAutoscaler',
  'batch.v1.CronJob',
  'batch.v1.Job',
  'core.v1.ConfigMap',
  'core.v1.LimitRange',
  'core.v1.Namespace',
  'core.v1.PersistentVolumeClaim',
  'core.v1.Pod',
  'core.v1.ResourceQuota',
  'core.v1.Secret',
  'core.v1.Service',
  'core.v1.ServiceAccount',
  'networking.v1.Ingress',
  'networking.v1.NetworkPolicy',
  'node.v1.RuntimeClass',
  'policy.v1.PodDisruptionBudget',
  'rbac.v1.ClusterRole',
  'rbac.v1.ClusterRoleBinding',
  'rbac.v1.Role',
  'rbac.v1.RoleBinding',
  'scheduling.v1.PriorityClass',
  'storage.v1.StorageClass',
];

interface Schema {
  $ref?: string;
  type?: string | string[];
  format?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  additionalProperties?: boolean | Schema;
  enum?: unknown[];
  'x-kubernetes-list-type'?: string;
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-group-version-kind'?: { group: string; version: string; kind: string }[];
  [keyword: string]: unknown;
}

// Fields that a manifest must not have, because the server writes them.
const written: Record<string, string[]> = {
  'meta.v1.ObjectMeta': [
    'creationTimestamp',
    'deletionGracePeriodSeconds',
    'deletionTimestamp',
    'generation',
    'managedFields',
    'resourceVersion',
    'selfLink',
    'uid',
  ],
};

const label = { maxLength: 63, pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$' };
const qualifiedName = '^([a-z0-9][-a-z0-9.]*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$';

/** Definitions that are written here and not derived. */
const leaves: Record<string, Schema> = {
  'api.resource.Quantity': {
    type: ['string', 'number'],
    pattern: '^[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$',
  },
  // A number, a percentage or the name of a port. '8080' is none of them.
  'util.intstr.IntOrString': {
    type: ['integer', 'string'],
    minimum: 0,
    maximum: 65535,
    pattern: '^([0-9]+%|(?=.*[a-z])[a-z0-9]([-a-z0-9]*[a-z0-9])?)$',
  },
  'meta.v1.FieldsV1': { type: 'object' },
  // The schema inside of a CRD is not checked.
  'apiextensions.v1.JSONSchemaProps': { type: 'object' },
};

/** Limits that the server's code checks and the published schema lacks. */
const limits: Record<string, Schema> = {
  'core.v1.Container.name': label,
  'core.v1.ContainerPort.name': { ...label, maxLength: 15 },
  'core.v1.PodSpec.containers': { minItems: 1 },
  'core.v1.ServicePort.name': label,
  'core.v1.Volume.name': label,
  'meta.v1.LabelSelector.matchLabels': labels(),
  'meta.v1.ObjectMeta.annotations': { propertyNames: { pattern: qualifiedName } },
  'meta.v1.ObjectMeta.labels': labels(),
  // Only roles may have a colon in their names, but this definition is that of every kind.
  'meta.v1.ObjectMeta.name': { maxLength: 253, pattern: '^[a-z0-9]([-a-z0-9.:]*[a-z0-9])?$' },
  'meta.v1.ObjectMeta.namespace': label,
};

const pinned = readPinned(kubernetes);
const upstream = Object.fromEntries(
  Object.entries(
    (JSON.parse(pinned.get(swagger)!) as { definitions: Record<string, Schema> }).definitions,
  ).map(([name, schema]) => [shortName(name), schema]),
);
const enumerations = readEnumerations(pinned.get(generated)!);
const definitions = new Map<string, Schema>();
for (const kind of kinds) define(kind);

const file = join(__dirname, '../../__tests__/schemas/core.json');
writeFileSync(file, text());
console.log(`${file}: ${definitions.size} definitions, ${Buffer.byteLength(text())} bytes`);

function define(name: string): void {
  if (definitions.has(name)) return;
  const schema = upstream[name];
  if (!schema) throw new Error(`${kubernetes.path}@${kubernetes.version} has no ${name}`);
  definitions.set(name, {});
  definitions.set(name, leaves[name] ?? strict(schema, name));
}

function strict(schema: Schema, path: string): Schema {
  if (schema.$ref) {
    const name = shortName(schema.$ref);
    define(name);
    return { $ref: `#/$defs/${name}` };
  }
  const { type, format } = schema;
  const result: Schema = type ? { type } : {};
  if (schema.properties) {
    const [identity] = schema['x-kubernetes-group-version-kind'] ?? [];
    const absent = [...(written[path] ?? []), ...(identity ? ['status'] : [])];
    const properties = Object.entries(schema.properties).filter(([name]) => !absent.includes(name));
    result.properties = Object.fromEntries(
      properties.map(([name, property]) => [name, strictProperty(property, path, name)]),
    );
    if (identity) {
      const { group, version, kind } = identity;
      result.properties.apiVersion = { const: group ? `${group}/${version}` : version };
      result.properties.kind = { const: kind };
    }
    result.additionalProperties = false;
    // The published schema does not require `spec`, but only a Namespace works without one.
    const spec = identity && schema.properties.spec && path !== 'core.v1.Namespace' ? ['spec'] : [];
    const required = new Set([...(schema.required ?? []), ...spec]);
    if (required.size > 0) result.required = [...required];
  } else if (typeof schema.additionalProperties === 'object') {
    result.additionalProperties = strict(schema.additionalProperties, `${path}.*`);
  }
  if (schema.items) result.items = strict(schema.items, path);
  if (schema['x-kubernetes-list-type'] === 'set') result.uniqueItems = true;
  if (schema['x-kubernetes-list-type'] === 'map') result.uniqueBy = schema['x-kubernetes-list-map-keys'];
  if (format === 'int32') Object.assign(result, { minimum: -(2 ** 31), maximum: 2 ** 31 - 1 });
  if (format === 'byte') result.pattern = '^[A-Za-z0-9+/]*={0,2}$';
  if (type === 'string' && enumerations.has(path)) result.enum = enumerations.get(path);
  return result;
}

function strictProperty(property: Schema, path: string, name: string): Schema {
  const schema = strict(property, `${path}.${name}`);
  const port = /^(containerPort|hostPort|nodePort|port)$/.test(name) && property.type === 'integer';
  return { ...schema, ...(port ? { minimum: 1, maximum: 65535 } : {}), ...limits[`${path}.${name}`] };
}

// The published JSON leaves enumerations out; the server's own copy has them.
function readEnumerations(go: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  let definition = '';
  let property = '';
  for (const line of go.split('\n')) {
    definition = /^func schema_(\w+)\(/.exec(line)?.[1] ?? definition;
    property = /^\t{5}"([^"]+)": \{$/.exec(line)?.[1] ?? property;
    const values = /^\t+Enum: +\[\]interface\{\}\{(.*)\},$/.exec(line)?.[1];
    if (values) {
      const name = definition.split('_').slice(-3).join('.');
      found.set(`${name}.${property}`, JSON.parse(`[${values}]`) as string[]);
    }
  }
  return found;
}

function labels(): Schema {
  const value = { type: 'string', maxLength: 63, pattern: '^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$' };
  return { additionalProperties: value, propertyNames: { pattern: qualifiedName } };
}

function shortName(name: string): string {
  return name.split(/[./]/).slice(-3).join('.');
}

/** One line for each definition, so that a diff between two releases is readable. */
function text(): string {
  const source = `${kubernetes.path} ${kubernetes.version}, Apache-2.0, Copyright The Kubernetes Authors`;
  const lines = [...definitions]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, schema]) => `${JSON.stringify(name)}:${JSON.stringify(schema)}`);
  const comment = JSON.stringify(`Generated by \`npm run vendor-schemas\` from ${source}; do not edit.`);
  return `{"$id":"core","$comment":${comment},"$defs":{\n${lines.join(',\n')}\n}}\n`;
}
