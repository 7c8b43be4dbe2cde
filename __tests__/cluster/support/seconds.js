const { relative } = require('node:path');

/** Prints at the end how long each file took, the longest first. */
module.exports = class {
  onRunComplete(_, { testResults }) {
    const rows = testResults.map(({ testFilePath, perfStats }) => ({
      file: relative(process.cwd(), testFilePath),
      seconds: Math.round((perfStats.end - perfStats.start) / 1000),
    }));
    rows.sort((a, b) => b.seconds - a.seconds);
    for (const { file, seconds } of rows) console.log(`${String(seconds).padStart(6)} s  ${file}`);
  }
};
