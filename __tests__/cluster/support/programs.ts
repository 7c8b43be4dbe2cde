import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { said, step } from './step';

const PROGRAMS = readFileSync(join(__dirname, 'programs.py'), 'utf8');

let asked = 0;

/**
 * Runs one of the small programs as a step of a pipeline.
 * @param program the name of its function in programs.py; the others are its arguments
 * @returns what it says
 */
export function ask<T>(pipeline: string, program: string, ...args: string[]): T {
  asked += 1;
  return said<T>(step(pipeline, `ask-${asked}`, PROGRAMS, program, ...args));
}
