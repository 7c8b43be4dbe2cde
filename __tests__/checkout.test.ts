import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { filesOf } from './support/dist';

const root = join(__dirname, '..');
const base = mkdtempSync(join(tmpdir(), 'checkout-'));
/** How Git for Windows checks out, on a file system without links and permissions. */
const WINDOWS = ['core.autocrlf=true', 'core.eol=crlf', 'core.symlinks=false', 'core.fileMode=false'];

afterAll(() => rmSync(base, { recursive: true }));

describe('a file in git', () => {
  const files = git(root, 'ls-files', '--eol', '-z')
    .split('\0')
    .filter(Boolean)
    .map(
      (line) => /^i\/(\S*) +w\/\S* +attr\/(.*?) *\t(.*)$/s.exec(line)!.slice(1) as [string, string, string],
    )
    // A symbolic link has no lines.
    .filter(([kind]) => kind !== '');

  test('has LF alone, unless .gitattributes names it as binary', () => {
    const wrong = files.filter(
      ([kind, attributes]) =>
        !(kind === '-text' && attributes === '-text') &&
        !(['lf', 'none'].includes(kind) && attributes === 'text=auto eol=lf'),
    );
    expect(files.length).toBeGreaterThan(500);
    expect(wrong).toEqual([]);
  });

  test('has a name that no other has where case is ignored', () => {
    const names = files.map(([, , path]) => path.toLowerCase());
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  test('has the bit that lets it run, where another file runs it by its name alone', () => {
    const modes = new Map(
      git(root, 'ls-files', '--stage', '-z')
        .split('\0')
        .filter(Boolean)
        .map((line) => /^(\d+) \S+ \d\t(.*)$/s.exec(line)!.slice(1) as [string, string])
        .map(([mode, path]) => [path, mode]),
    );
    const byName = [
      '.ci/run',
      'scripts/bootstrap.sh',
      'scripts/cluster/build.sh',
      'scripts/cluster/cluster.sh',
    ];
    for (const path of byName) expect([path, modes.get(path)]).toEqual([path, '100755']);
  });
});

describe('a clone as on Windows', () => {
  const clone = join(base, 'windows');
  const committed = join(base, 'committed');

  beforeAll(() => {
    cloneTo(committed);
    cloneTo(clone, ...WINDOWS);
    symlinkSync(join(root, 'node_modules'), join(clone, 'node_modules'));
  });

  test('has no CR in a text, so that its shell scripts run', () => {
    expect(lstatSync(join(clone, 'python/lifecycle/names.json')).isSymbolicLink()).toBe(false);
    const withCr = textsOf(clone).filter((file) => readFileSync(join(clone, file)).includes('\r'));
    expect(withCr).toEqual([]);
    expect(
      execFileSync('bash', [join(clone, 'scripts/bootstrap.sh'), '--help'], { encoding: 'utf8' }),
    ).toContain('Usage: ');
  });

  test('synthesizes the committed dist/, byte for byte', () => {
    for (const file of textsOf(clone)) chmodSync(join(clone, file), 0o644);
    expect(synth()).toMatchObject({ status: 0, stderr: '' });
    expect(filesOf(join(clone, 'dist'))).toEqual(filesOf(join(committed, 'dist')));
  });

  test('does so too after an editor has saved every file, and a file manager has looked into every folder', () => {
    for (const file of textsOf(clone)) {
      const text = readFileSync(join(clone, file), 'utf8').replaceAll('\n', '\r\n');
      writeFileSync(join(clone, file), travels(file) ? `\ufeff${text}` : text);
    }
    const folders = [
      'dist',
      'dist/laptop',
      'environments',
      'imports/crds',
      'pipelines',
      'pipelines/trip-duration',
    ];
    for (const name of ['.DS_Store', 'Thumbs.db', '._litter.yaml', 'litter.yaml~'])
      for (const folder of folders) writeFileSync(join(clone, folder, name), 'litter\0');
    for (const folder of ['pipelines', 'pipelines/gone']) {
      mkdirSync(join(clone, folder, '__pycache__'), { recursive: true });
      writeFileSync(join(clone, folder, '__pycache__/model.cpython-311.pyc'), '');
    }
    expect(synth()).toMatchObject({ status: 0, stderr: '' });
    expect(filesOf(join(clone, 'dist'))).toEqual(filesOf(join(committed, 'dist')));
  });

  test.each([
    ['lib/foundation/provision-minio.sh', Buffer.from('# caf\xe9\n', 'latin1'), 'got other bytes in line 1'],
    ['pipelines/trip-duration/model.py', Buffer.from('test_model.py'), "got the path 'test_model.py'"],
  ])('refuses %s in one line where it is no text, and leaves dist/ as it was', (file, bytes, problem) => {
    const before = readFileSync(join(clone, file));
    writeFileSync(join(clone, file), bytes);
    const { status, stderr } = synth();
    writeFileSync(join(clone, file), before);
    expect(stderr).toContain(problem);
    expect(stderr).toContain(file);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(status).toBe(1);
    expect(filesOf(join(clone, 'dist'))).toEqual(filesOf(join(committed, 'dist')));
  });

  function synth() {
    return spawnSync('npm', ['run', '--silent', 'synth'], { cwd: clone, encoding: 'utf8' });
  }
});

function cloneTo(folder: string, ...settings: string[]): void {
  git(base, 'clone', '--quiet', ...settings.flatMap((setting) => ['--config', setting]), root, folder);
}

/** Files in git that are text, in a checkout. */
function textsOf(checkout: string): string[] {
  return git(checkout, 'ls-files', '--eol', '-z')
    .split('\0')
    .filter((line) => line !== '' && !line.startsWith('i/-text') && !line.startsWith('i/ '))
    .map((line) => line.split('\t')[1]!);
}

function travels(file: string): boolean {
  return /^(python|lib|pipelines)\/.*\.(py|sh|txt)$|^imports\/crds\//.test(file);
}

function git(folder: string, ...args: string[]): string {
  return execFileSync('git', args, { cwd: folder, encoding: 'utf8', maxBuffer: 64 * 2 ** 20 });
}
