const { maxWorkers: _, ...withoutCluster } = require('./jest.config.js');
const common = {
  ...withoutCluster,
  testPathIgnorePatterns: [],
  setupFilesAfterEnv: ['<rootDir>/__tests__/cluster/support/timeout.js'],
  runner: '<rootDir>/__tests__/cluster/support/runner.js',
};

/** A node with the platform on it, for the whole project. */
const onThePlatform = {
  globalSetup: '<rootDir>/__tests__/cluster/support/setup.ts',
  globalTeardown: '<rootDir>/__tests__/cluster/support/teardown.ts',
  setupFiles: ['<rootDir>/__tests__/cluster/support/platform-dist.js'],
};

/**
 * `npm run test:cluster`: real Kubernetes on this machine, which the suites start themselves.
 * `npm run test:kills` and `npm run test:tutorial` are projects that take too long for every day.
 */
module.exports = {
  // Suites that the runner lets run beside each other wait for the cluster's clocks most of the time.
  maxWorkers: 2,
  verbose: true,
  reporters: ['default', '<rootDir>/__tests__/cluster/support/seconds.js'],
  testSequencer: '<rootDir>/__tests__/cluster/support/sequencer.js',
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
      displayName: 'helm',
      roots: ['<rootDir>/__tests__/cluster/helm'],
    },
    {
      ...common,
      ...onThePlatform,
      displayName: 'platform',
      roots: ['<rootDir>/__tests__/cluster/platform'],
    },
    {
      ...common,
      ...onThePlatform,
      displayName: 'kills',
      roots: ['<rootDir>/__tests__/cluster/kills'],
    },
    {
      ...common,
      ...onThePlatform,
      displayName: 'tutorial',
      roots: ['<rootDir>/__tests__/cluster/tutorial'],
    },
  ],
};
