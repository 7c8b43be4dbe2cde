/** A fault in the definition of a pipeline or an environment: its path, what is allowed, and the value received. */
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

/** Several faults in one error, so that the user can correct all of them in one go. */
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
 * The message to show where a definition is at fault. The user can correct that, so that no stack trace is needed.
 * @returns undefined for any other error, which is a fault of this program
 */
export function definitionFault(error: unknown): string | undefined {
  if (error instanceof DefinitionError || error instanceof DefinitionErrors) return error.message;
  // A syntax error of SWC: first the file, the line and the place, then after 'Caused by' SWC's own stack.
  const [shown, cause] = error instanceof Error ? error.message.split('\n\nCaused by:') : [];
  return cause?.includes('Syntax Error')
    ? `a definition is not valid TypeScript:\n${shown!.trimEnd()}`
    : undefined;
}

/** A value as an error message shows it: as JSON, on one line, at most 80 characters. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  // JSON.stringify throws on a bigint.
  const text =
    JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'bigint' ? `${inner}n` : inner)) ??
    String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
