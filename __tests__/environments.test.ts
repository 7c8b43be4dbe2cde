import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { environmentFolder } from '../scripts/platform/environments';

const root = join(__dirname, '..');
const dist = mkdtempSync(join(tmpdir(), 'dist-'));
afterAll(() => rmSync(dist, { recursive: true }));

test.each([
  ['workstation', '.'],
  ['laptop', 'laptop'],
])('%s is the folder %s', (name, folder) => {
  expect(environmentFolder(name, ['.', 'laptop'])).toBe(folder);
});

test.each(['desktop', '.', '..', ''])('%j is no environment', (name) => {
  expect(() => environmentFolder(name, ['.', 'laptop'])).toThrow(
    `there is no environment '${name}'; there are workstation, laptop`,
  );
});

test('npm run deploy knows the environments of dist/, a new one too', () => {
  mkdirSync(join(dist, 'basement'));
  expect(deploy('desktop')).toBe("there is no environment 'desktop'; there are workstation, basement");
  expect(deploy('basement')).toBe(`${join(dist, 'basement')} holds no YAML; 'npm run synth' writes it`);
});

function deploy(environment: string): string {
  const { status, stderr } = spawnSync('npm', ['run', '--silent', 'deploy', '--', environment], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, CDK8S_OUTDIR: dist },
  });
  expect(status).toBe(1);
  return stderr.trim().split('\n').at(-1)!;
}
