const { statSync } = require('node:fs');
const { default: Sequencer } = require('@jest/test-sequencer');
const { numberOf } = require('./runner');

/** Orders test files by their number, within a number the largest first, and those without one by their paths. */
module.exports = class extends Sequencer {
  sort(tests) {
    const rank = ({ path }) => numberOf(path) ?? 0;
    const size = ({ path }) => (numberOf(path) === undefined ? 0 : statSync(path).size);
    return [...tests].sort((a, b) => rank(a) - rank(b) || size(b) - size(a) || a.path.localeCompare(b.path));
  }
};
