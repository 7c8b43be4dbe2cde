const { basename } = require('node:path');
const { default: TestRunner } = require('jest-runner');

/**
 * Runs test files whose names begin with the same number beside each other. Those with the next number follow when all
 * of them have ended, so that a suite that kills programs comes after one that counts restarts. A file without a number
 * has clusters of its own and runs alone.
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
