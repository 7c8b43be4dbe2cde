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

/** Whether a definition is at fault: the reader's to mend, and the message says where. Anything else is ours. */
export function isMistake(error: unknown): error is DefinitionError | DefinitionErrors {
  return error instanceof DefinitionError || error instanceof DefinitionErrors;
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
