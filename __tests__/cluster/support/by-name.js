const { default: Sequencer } = require('@jest/test-sequencer');

/** Runs test files in the order of their paths, not by how long they took last time. */
module.exports = class extends Sequencer {
  sort(tests) {
    return [...tests].sort((a, b) => (a.path < b.path ? -1 : 1));
  }
};
