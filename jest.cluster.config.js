const common = {
  ...require('./jest.config.js'),
  testPathIgnorePatterns: [],
  setupFilesAfterEnv: ['<rootDir>/__tests__/cluster/support/timeout.js'],
};

/** `npm run test:cluster`: real Kubernetes on this machine, which the suites start themselves. */
module.exports = {
  // A node with everything on it takes minutes; one suite at a time, because there is one machine.
  maxWorkers: 1,
  verbose: true,
  // In the order of their names: what kills things comes after what counts restarts.
  testSequencer: '<rootDir>/__tests__/cluster/support/by-name.js',
  projects: [
    {
      ...common,
      displayName: 'bootstrap',
      roots: ['<rootDir>/__tests__/cluster/bootstrap'],
    },
    {
      ...common,
      displayName: 'fresh clusters',
      roots: ['<rootDir>/__tests__/cluster/fresh'],
    },
    {
      ...common,
      displayName: 'platform',
      roots: ['<rootDir>/__tests__/cluster/platform'],
      globalSetup: '<rootDir>/__tests__/cluster/support/setup.ts',
      globalTeardown: '<rootDir>/__tests__/cluster/support/teardown.ts',
    },
  ],
};
