const { maxWorkers: _, ...withoutCluster } = require('./jest.config.js');
const common = {
  ...withoutCluster,
  testPathIgnorePatterns: [],
  setupFilesAfterEnv: ['<rootDir>/__tests__/cluster/support/timeout.js'],
  runner: '<rootDir>/__tests__/cluster/support/runner.js',
};

/** The settings of a project whose suites share one node with the platform on it. */
const onThePlatform = {
  globalSetup: '<rootDir>/__tests__/cluster/support/setup.ts',
  globalTeardown: '<rootDir>/__tests__/cluster/support/teardown.ts',
  setupFiles: ['<rootDir>/__tests__/cluster/support/platform-dist.js'],
};

/**
 * `npm run test:cluster` runs on real Kubernetes, which the suites start on this machine. The projects `helm`,
 * `kills`, `tutorial` and `existing monitoring` have commands of their own, because they take too long for every change.
 */
module.exports = {
  // The runner lets some suites run beside each other, because they mostly wait for the cluster's clocks.
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
      displayName: 'existing monitoring',
      roots: ['<rootDir>/__tests__/cluster/existing-monitoring'],
      setupFiles: ['<rootDir>/__tests__/cluster/existing-monitoring/name.js'],
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
