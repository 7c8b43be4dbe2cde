/** `npm test` needs Node, git and bash, but no network and no cluster. With `--ci` it writes no snapshot. */
module.exports = {
  // By default jest leaves one core to its own process, which on two cores is half of the machine.
  maxWorkers: '100%',
  testEnvironment: 'node',
  testMatch: ['**/*.test.ts'],
  roots: ['<rootDir>/__tests__'],
  testPathIgnorePatterns: ['<rootDir>/__tests__/cluster/'],
  // Without a type check, which `npm run check` does for all files at once.
  transform: { '^.+\\.(t|j)s$': ['@swc/jest', { jsc: { target: 'es2022' } }] },
};
