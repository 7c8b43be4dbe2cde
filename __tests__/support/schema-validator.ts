import Ajv, { type ErrorObject, type ValidateFunction } from 'ajv';
import core from '../schemas/core.json';
import { crdSchemas } from './crd-schemas';

interface Manifest {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata?: { readonly name?: string };
}

/**
 * Lists what an API server would refuse in a manifest, or drop from it without an error. Each defect is one line, as
 * in `Deployment/web: /spec/replicas: must be integer, got "2"`.
 */
export function validate(object: object): string[] {
  const manifest = object as Manifest;
  const who = `${manifest.kind ?? 'unknown kind'}/${manifest.metadata?.name ?? 'no name'}`;
  const check = validatorOf(manifest);
  if (!check)
    return [`${who}: no schema for ${manifest.apiVersion ?? 'no apiVersion'} ${manifest.kind ?? 'no kind'}`];
  const errors = check(manifest) ? [] : (check.errors ?? []).map(describe);
  if (!manifest.metadata?.name) errors.unshift('/metadata/name: is missing');
  return errors.map((error) => `${who}: ${error}`);
}

const ajv = new Ajv({
  allErrors: true,
  verbose: true,
  strict: true,
  allowUnionTypes: true,
  strictTypes: false,
  // Each schema checks a few objects only, so to optimize its generated code would cost more than it saves.
  code: { optimize: false },
});
ajv.addKeyword({
  keyword: 'uniqueBy',
  type: 'array',
  schemaType: 'array',
  validate: uniqueBy,
  errors: false,
});
ajv.addSchema(core);

const validators = new Map<string, ValidateFunction | undefined>();
let customKinds: ReturnType<typeof crdSchemas> | undefined;

function validatorOf({ apiVersion, kind }: Manifest): ValidateFunction | undefined {
  const key = `${apiVersion}/${kind}`;
  if (!validators.has(key)) validators.set(key, compile(key));
  return validators.get(key);
}

function compile(key: string): ValidateFunction | undefined {
  const builtIn = coreKinds.get(key);
  if (builtIn) return ajv.compile({ $ref: `core#/$defs/${builtIn}` });
  customKinds ??= crdSchemas();
  const custom = customKinds.get(key);
  return custom && ajv.compile(custom);
}

const coreKinds = new Map<string, string>(
  Object.entries(core.$defs as Record<string, { properties?: Record<string, { const?: string }> }>).flatMap(
    ([name, { properties }]) =>
      properties?.kind?.const ? [[`${properties.apiVersion?.const}/${properties.kind.const}`, name]] : [],
  ),
);

// Server-side apply refuses two items of a list that have the same keys. A port without a protocol is TCP.
function uniqueBy(keys: string[], items: Record<string, unknown>[]): boolean {
  const defaults: Record<string, unknown> = { protocol: 'TCP' };
  const seen = items.map((item) => JSON.stringify(keys.map((key) => item[key] ?? defaults[key])));
  return new Set(seen).size === seen.length;
}

function describe(error: ErrorObject): string {
  const at = error.instancePath || '/';
  switch (error.keyword) {
    case 'additionalProperties':
      return `${at}: has no key '${error.params.additionalProperty}'`;
    case 'required':
      return `${at}: '${error.params.missingProperty}' is missing`;
    case 'uniqueBy':
      return `${at}: has two items with the same ${(error.schema as string[]).join(' and ')}`;
    case 'enum':
      return `${at}: must be one of ${(error.schema as unknown[]).join(', ')}, got ${show(error.data)}`;
    case 'const':
      return `${at}: must be ${show(error.schema)}, got ${show(error.data)}`;
    default:
      return `${at}: ${error.message}, got ${show(error.data)}`;
  }
}

function show(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
