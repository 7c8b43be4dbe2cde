/** `npm test`: Node alone, no network, no cluster. With `--ci` it writes no snapshot. */
module.exports = {
  // Jest leaves a core to itself, which on two cores is half of the machine.
  maxWorkers: '100%',
  testEnvironment: 'node',
  testMatch: ['**/*.test.ts'],
  roots: ['<rootDir>/__tests__'],
  testPathIgnorePatterns: ['<rootDir>/__tests__/cluster/'],
  transform: { '^.+\\.(t|j)s$': ['@swc/jest', { jsc: { target: 'es2022' } }] },
};
