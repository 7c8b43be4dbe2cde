const { basename } = require('node:path');
const { default: TestRunner } = require('jest-runner');

/**
 * Runs test files of one number beside each other, and a number only once those of the number before have ended: what
 * kills things comes after what counts restarts. A file without a number runs alone, for each of those has clusters of
 * its own.
 */
module.exports = class RunnerByNumber extends TestRunner {
  /** The number with which a file's name begins, or undefined. */
  static numberOf(path) {
    const [number] = basename(path).match(/^\d+(?=-)/) ?? [];
    return number === undefined ? undefined : Number(number);
  }

  async runTests(tests, watcher, options) {
    for (const group of groups(tests)) await super.runTests(group, watcher, options);
  }
};

function groups(tests) {
  const found = new Map();
  for (const test of tests) {
    const key = module.exports.numberOf(test.path) ?? test.path;
    found.set(key, [...(found.get(key) ?? []), test]);
  }
  return found.values();
}
