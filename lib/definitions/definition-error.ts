/** A definition that cannot become a platform: where, what was given, and the way out. */
export class DefinitionError extends Error {
  constructor(
    readonly path: string,
    readonly problem: string,
    readonly received: unknown,
  ) {
    super(`${path}: ${problem}, got ${show(received)}`);
    this.name = 'DefinitionError';
  }
}

/** Several violations at once, so that a person mends them in one go. */
export class DefinitionErrors extends Error {
  constructor(
    headline: string,
    readonly problems: readonly string[],
  ) {
    super(`${headline}\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
    this.name = 'DefinitionErrors';
  }
}

/**
 * What is to be told where a definition is at fault, which is the reader's to mend.
 * @returns undefined for any other error: it is ours, and needs its stack
 */
export function mistake(error: unknown): string | undefined {
  if (error instanceof DefinitionError || error instanceof DefinitionErrors) return error.message;
  // The compiler shows file, line and place; behind that it names its own cause and stack.
  const [shown, cause] = error instanceof Error ? error.message.split('\n\nCaused by:') : [];
  return cause?.includes('Syntax Error') ? `a definition is no TypeScript:\n${shown!.trimEnd()}` : undefined;
}

/** A value as a person would recognise it: quoted, on one line, not too long. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  // JSON knows no bigint, and would throw where an error is being told.
  const text =
    JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'bigint' ? `${inner}n` : inner)) ??
    String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
