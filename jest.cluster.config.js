/** `npm run test:cluster`: a real Kubernetes on this machine, which the suites start themselves. */
module.exports = {
  ...require('./jest.config.js'),
  roots: ['<rootDir>/__tests__/cluster'],
  testPathIgnorePatterns: [],
  // A node with everything on it takes minutes; one suite at a time, because there is one machine.
  testTimeout: 30 * 60 * 1000,
  maxWorkers: 1,
  verbose: true,
};
