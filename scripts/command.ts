/** Something a person must see to; its message is all they need, no stack. */
export class Failure extends Error {}

/** Runs a command line's main function and ends with a message instead of a stack. */
export async function run(main: () => Promise<void> | void): Promise<void> {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof Failure) && !isUsage(error)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}

/** Arguments that parseArgs refuses, in words that need no stack. */
function isUsage(error: unknown): error is Error {
  return String((error as { code?: string }).code).startsWith('ERR_PARSE_ARGS');
}
