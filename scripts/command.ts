/** An error that the user can resolve. Only its message is printed, without a stack trace. */
export class Failure extends Error {}

/** Runs the main function of a command line. A Failure becomes a message and exit status 1. */
export async function run(main: () => Promise<void> | void): Promise<void> {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof Failure) && !isUsage(error)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}

/** Whether it is parseArgs' error for a wrong option, whose message needs no stack trace. */
function isUsage(error: unknown): error is Error {
  return String((error as { code?: string }).code).startsWith('ERR_PARSE_ARGS');
}
