import { type z } from 'zod';
import { DefinitionErrors, show } from './definition-error';

/**
 * Checks a definition against its schema and fills in the defaults.
 * @param subject what is defined, for the first line of the error: `pipeline 'trip-duration'`
 * @throws DefinitionErrors with every fault: its path, what is allowed, and the value received.
 */
export function parse<T>(schema: z.ZodType<T>, input: unknown, subject: string): T {
  const result = schema.safeParse(input, { error: wording });
  if (result.success) return result.data;
  throw new DefinitionErrors(
    `${subject} cannot be synthesized:`,
    result.error.issues.map((issue) => {
      const path = issue.path.map(String).join('.') || '(the definition itself)';
      return `${path}: ${issue.message}, got ${show(received(input, issue))}`;
    }),
  );
}

/** The messages for Zod's own findings, in the style of `rules`. */
function wording(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'unrecognized_keys':
      return `has the unknown key ${issue.keys.map((key) => `'${key}'`).join(', ')}; its keys are ${knownKeys(issue)}`;
    case 'invalid_key':
      return `is no name: it ${issue.issues.map(({ message }) => message).join(', and it ')}`;
    case 'invalid_type':
      return issue.input === undefined ? 'is required' : `must be ${article(issue.expected)}`;
    case 'invalid_value':
      return `must be one of ${issue.values.map(String).join(', ')}`;
    case 'invalid_union':
      return allowedForms(issue);
    default:
      return undefined;
  }
}

/** The allowed values of the key, such as `type`, that tells the forms of a union apart. */
function allowedForms(issue: z.core.$ZodRawIssue): string {
  const { discriminator, options } = (issue.inst as z.ZodDiscriminatedUnion).def;
  const forms = options.flatMap((option) => [...(option._zod.propValues?.[discriminator] ?? [])]);
  return `must be one of ${forms.map(String).join(', ')}`;
}

function knownKeys(issue: z.core.$ZodRawIssue): string {
  return Object.keys((issue.inst as z.ZodObject).shape).join(', ');
}

function article(type: string): string {
  return `${/^[aeiou]/.test(type) ? 'an' : 'a'} ${type}`;
}

/** What an error shows as received: the unknown keys with their values, an invalid key, or the value at the path. */
function received(input: unknown, issue: z.core.$ZodIssue): unknown {
  const value = valueAt(input, issue.path);
  if (issue.code === 'invalid_key') return issue.path.at(-1);
  if (issue.code !== 'unrecognized_keys') return value;
  return Object.fromEntries(issue.keys.map((key) => [key, valueAt(value, [key])]));
}

function valueAt(input: unknown, path: PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined,
    input,
  );
}
