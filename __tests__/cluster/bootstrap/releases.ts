import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { HOSTS } from './machine';

const SCRIPTS = join(__dirname, '../../../scripts');

/** bootstrap.sh as it is shipped. */
export const SHIPPED = readFileSync(join(SCRIPTS, 'bootstrap.sh'), 'utf8');

export const TOOLS = ['k3s', 'kubectl', 'k9s', 'helm'] as const;
export type Tool = (typeof TOOLS)[number];
/** The tools whose checksum bootstrap.sh pins; docs/bootstrap.md says why k3s is none of them. */
export const PINNED: readonly Tool[] = ['kubectl', 'k9s', 'helm'];

/** The addresses of a tool and of its checksum file, and the host that they redirect to. */
interface Release {
  readonly url: string;
  readonly sums: string;
  readonly store: string;
}

export const version = (tool: Tool): string =>
  new RegExp(`^${tool.toUpperCase()}_VERSION="(.*)"$`, 'm').exec(SHIPPED)![1]!;

/** The addresses for amd64. They repeat those of bootstrap.sh, which must request these and no others. */
export const RELEASES: Record<Tool, Release> = (() => {
  const k3s = `https://github.com/k3s-io/k3s/releases/download/${version('k3s').replace('+', '%2B')}`;
  const k9s = `https://github.com/derailed/k9s/releases/download/${version('k9s')}`;
  const kubectl = `https://dl.k8s.io/release/${version('kubectl')}/bin/linux/amd64/kubectl`;
  const helm = `https://get.helm.sh/helm-${version('helm')}-linux-amd64.tar.gz`;
  const github = 'release-assets.githubusercontent.com';
  return {
    k3s: { url: `${k3s}/k3s`, sums: `${k3s}/sha256sum-amd64.txt`, store: github },
    kubectl: { url: kubectl, sums: `${kubectl}.sha256`, store: 'cdn.dl.k8s.io' },
    k9s: { url: `${k9s}/k9s_Linux_amd64.tar.gz`, sums: `${k9s}/checksums.sha256`, store: github },
    helm: { url: helm, sums: `${helm}.sha256sum`, store: 'get.helm.sh' },
  };
})();

/** The archive of k3s's own images, which an offline folder may hold. */
export const IMAGES = 'k3s-airgap-images-amd64.tar.zst';

export const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');

/** The file of the made-up internet in which a tool or its checksum file is. */
export const stored = (web: string, tool: Tool, what: 'url' | 'sums'): string => {
  const { [what]: url, store } = RELEASES[tool];
  return join(web, 'web', store, new URL(url).pathname);
};

/** The sha256 of a tool as its checksum file publishes it. */
export const published = (web: string, tool: Tool): string => sha256(readFileSync(stored(web, tool, 'url')));

/**
 * An internet with made-up releases at the real addresses, and a certificate for the real hosts.
 * @returns its folder
 */
export function makeInternet(): string {
  const folder = mkdtempSync(join(tmpdir(), 'bootstrap-releases-'));
  certify(folder);
  for (const tool of TOOLS) {
    const file = stored(folder, tool, 'url');
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, release(tool));
    const name = basename(file);
    const hash = published(folder, tool);
    const lines = [`${sha256('another file')}  another-${name}`, `${hash}  ${name}`];
    if (tool === 'k3s') lines.push(`${sha256('images\n')}  ${IMAGES}`);
    // kubectl's checksum file holds the hash alone.
    writeFileSync(stored(folder, tool, 'sums'), tool === 'kubectl' ? hash : `${lines.join('\n')}\n`);
  }
  return folder;
}

/** bootstrap.sh with one change: it pins the checksums of the made-up releases. */
export function pinning(internet: string): string {
  return PINNED.reduce(
    (script, tool) =>
      script.replace(
        new RegExp(`^(${tool.toUpperCase()}_SHA256_AMD64)="[0-9a-f]{64}"$`, 'm'),
        `$1="${published(internet, tool)}"`,
      ),
    SHIPPED,
  );
}

function release(tool: Tool): Buffer {
  if (tool === 'k3s') return readFileSync(join(SCRIPTS, 'bootstrap/k3s.sh'));
  const program = `#!/bin/bash\necho "${tool} ${version(tool)} (made up)"\n`;
  if (tool === 'kubectl') return Buffer.from(program);
  const folder = mkdtempSync(join(tmpdir(), 'bootstrap-archive-'));
  const member = tool === 'helm' ? 'linux-amd64/helm' : 'k9s';
  mkdirSync(dirname(join(folder, member)), { recursive: true });
  writeFileSync(join(folder, member), program, { mode: 0o755 });
  const packed = execFileSync('tar', ['-cz', '-C', folder, member]);
  rmSync(folder, { recursive: true });
  return packed;
}

function certify(folder: string): void {
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.crt', '-subj', '/CN=made-up authority');
  const names = HOSTS.map((host) => `DNS:${host}`).join(',');
  const signed = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-addext', `subjectAltName=${names}`];
  openssl(
    'req',
    '-x509',
    ...key,
    ...signed,
    '-keyout',
    'tls.key',
    '-out',
    'tls.crt',
    '-subj',
    '/CN=internet',
  );
}
