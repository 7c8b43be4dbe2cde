import { type z } from 'zod';
import { DefinitionErrors, show } from './definition-error';

/**
 * Checks a definition against its schema and fills in the defaults.
 * @param subject whose definition it is: `pipeline 'trip-duration'`
 * @throws DefinitionErrors with every violation: its path, what is wrong, and the value received.
 */
export function parse<T>(schema: z.ZodType<T>, input: unknown, subject: string): T {
  const result = schema.safeParse(input, { error: wording });
  if (result.success) return result.data;
  throw new DefinitionErrors(
    `${subject} cannot be synthesized:`,
    result.error.issues.map((issue) => {
      const path = issue.path.map(String).join('.') || '(the definition itself)';
      return `${path}: ${issue.message}, got ${show(valueAt(input, issue.path))}`;
    }),
  );
}

/** Zod's own findings in the words of the rules. */
function wording(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'unrecognized_keys':
      return `has the unknown key ${issue.keys.map((key) => `'${key}'`).join(', ')}; mend its spelling or leave it out`;
    case 'invalid_type':
      return issue.input === undefined ? 'is required' : `must be ${article(issue.expected)}`;
    case 'invalid_value':
      return `must be one of ${issue.values.map(String).join(', ')}`;
    case 'invalid_union':
      return 'has none of the allowed forms';
    default:
      return undefined;
  }
}

function article(type: string): string {
  return `${/^[aeiou]/.test(type) ? 'an' : 'a'} ${type}`;
}

function valueAt(input: unknown, path: PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined,
    input,
  );
}
