import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runInStep, said, startWaitingStep, stepStopped } from './step';

const PROGRAMS = readFileSync(join(__dirname, 'programs.py'), 'utf8');

/** The answer of the program `lineage`. */
export interface Lineage {
  readonly version: number;
  readonly versions: number;
  readonly aliases: Record<string, number>;
  readonly tags: Record<string, string>;
  readonly metrics: Record<string, number>;
  readonly sourceSha256: string;
  readonly quarantined: { readonly total: number };
  readonly rows: number;
}

/** The names of the step pods in which this suite's programs run, by their pipelines. */
const pods = new Map<string, string>();

afterAll(() => {
  for (const name of pods.values()) stepStopped(name);
});

/**
 * Runs one of the small programs in a step pod of a pipeline, which starts with the first of them.
 * @param program the name of its function in programs.py; the others are its arguments
 * @returns what it printed as JSON, parsed
 * @throws when the program fails
 */
export function ask<T>(pipeline: string, program: string, ...args: string[]): T {
  let name = pods.get(pipeline);
  if (name === undefined) {
    // With the process's id, because another suite may run beside this one.
    name = `ask-${process.pid}-${pods.size}`;
    startWaitingStep(pipeline, name);
    pods.set(pipeline, name);
  }
  return said<T>(runInStep(name, PROGRAMS, program, ...args));
}
