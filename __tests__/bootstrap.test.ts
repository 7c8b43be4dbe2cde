import { type ChildProcess, spawn, spawnSync } from 'child_process';
import { createHash } from 'crypto';
import * as fs from 'fs';
import * as os from 'os';
import * as path from 'path';

/**
 * Runs scripts/bootstrap.sh against a machine that is a folder: every path the
 * script touches lies under BOOTSTRAP_ROOT, and PATH holds stand-ins for what
 * would reach the real machine (curl, systemctl, ip, umount, ...) plus links
 * to harmless tools. Nothing else can be called. k3s itself is never run here.
 */

const SCRIPT = path.join(__dirname, '..', 'scripts', 'bootstrap.sh');
const SOURCE = fs.readFileSync(SCRIPT, 'utf8');

const HARMLESS =
  'awk basename bash cat chmod cp cut date df dirname env grep gzip head install ls mkdir mktemp mv rm rmdir sed ' +
  'sha256sum sleep sort tail tar tr';

/** What the stand-in of k3s was given by `kubectl apply`. */
const APPLIED = 'var/lib/rancher/k3s/server/applied';

const TOOLS = ['k3s', 'kubectl', 'k9s', 'helm'] as const;
type Tool = (typeof TOOLS)[number];

const pinned = (name: string): string => {
  const found = new RegExp(`^${name}="(.*)"$`, 'm').exec(SOURCE);
  if (!found) throw new Error(`scripts/bootstrap.sh sets no ${name}`);
  return found[1]!;
};
const version = (tool: Tool): string => pinned(`${tool.toUpperCase()}_VERSION`);
const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');

interface Download {
  url: string;
  sums: string;
}
const downloads = (arch: 'amd64' | 'arm64'): Record<Tool, Download> => {
  const k3s = `https://github.com/k3s-io/k3s/releases/download/${version('k3s').replace('+', '%2B')}`;
  const k9s = `https://github.com/derailed/k9s/releases/download/${version('k9s')}`;
  const kubectl = `https://dl.k8s.io/release/${version('kubectl')}/bin/linux/${arch}/kubectl`;
  const helm = `https://get.helm.sh/helm-${version('helm')}-linux-${arch}.tar.gz`;
  return {
    k3s: { url: `${k3s}/k3s${arch === 'arm64' ? '-arm64' : ''}`, sums: `${k3s}/sha256sum-${arch}.txt` },
    kubectl: { url: kubectl, sums: `${kubectl}.sha256` },
    k9s: { url: `${k9s}/k9s_Linux_${arch}.tar.gz`, sums: `${k9s}/checksums.sha256` },
    helm: { url: helm, sums: `${helm}.sha256sum` },
  };
};

/** Stand-ins: each writes its call to $CALLS, then does the least that is needed. */
const STUBS: Record<string, string> = {
  uname: 'case "$1" in -s) echo "${STUB_OS:-Linux}";; *) echo "${STUB_ARCH:-x86_64}";; esac',
  id: 'case "$*" in -u) echo "${STUB_UID:-0}";; *) echo 1000;; esac',
  getent: 'echo "$2:x:1000:1000::/home/$2:${STUB_SHELL:-/bin/bash}"',
  runuser: 'echo "runuser $2" >>"$CALLS"; shift 3; "$@"',
  chown: 'echo "chown $*" >>"$CALLS"',
  df: 'printf "F B U A\\n/dev/x 1 1 ${STUB_FREE_KB:-90000000}\\n"',
  'nvidia-smi': '[[ -z ${STUB_GPU:-} ]] && exit 9; echo "GPU 0: Test (UUID: GPU-0)"',
  lspci: '[[ -z ${STUB_LSPCI:-} ]] || echo "01:00.0 3D controller: NVIDIA Corporation Test"',
  ps: 'cat "$BOOTSTRAP_ROOT/ps" 2>/dev/null; true',
  umount:
    'echo "umount $*" >>"$CALLS"; [[ -z ${STUB_BUSY:-} ]] || exit 32; f="$BOOTSTRAP_ROOT/proc/mounts"; ' +
    'p="${!#}"; grep -vF "$p " "$f" >"$f.n" || true; mv "$f.n" "$f"',
  ip: `echo "ip $*" >>"$CALLS"
[[ "$*" != "-o link show" ]] || cat <<LINKS
2: eth0: <UP> mtu 1500 state UP
5: flannel.1: <UP> mtu 1450 state UNKNOWN
6: cni0: <UP> mtu 1450 state UP
7: veth1@if2: <UP> mtu 1450 master cni0 state UP
LINKS`,
  'iptables-save': 'printf "*filter\\n-A INPUT -s 192.0.2.1 -j DROP\\n-A KUBE-FORWARD -j ACCEPT\\nCOMMIT\\n"',
  'iptables-restore': 'cat >"$BOOTSTRAP_ROOT/rules"',
  'ip6tables-save': 'true',
  'ip6tables-restore': 'true',
  // Starting k3s makes the files that k3s makes.
  systemctl: `echo "systemctl $*" >>"$CALLS"
case "$*" in
  "is-active --quiet k3s") [[ -e $BOOTSTRAP_ROOT/active ]] ;;
  restart*|start*)
    : >"$BOOTSTRAP_ROOT/active"
    mkdir -p "$BOOTSTRAP_ROOT/etc/rancher/k3s" "$BOOTSTRAP_ROOT/var/lib/rancher/k3s/server" "$BOOTSTRAP_ROOT/var/lib/kubelet"
    mkdir -p "$BOOTSTRAP_ROOT/etc/rancher/node" "$BOOTSTRAP_ROOT/var/log/pods" "$BOOTSTRAP_ROOT/var/log/containers"
    echo "apiVersion: v1" >"$BOOTSTRAP_ROOT/etc/rancher/k3s/k3s.yaml" ;;
  disable*) rm -f "$BOOTSTRAP_ROOT/active" ;;
esac`,
  // Serves $BOOTSTRAP_ROOT/web/<host>/<path>; anything else is a 404.
  curl: `echo "curl $*" >>"$CALLS"
while (($#)); do case "$1" in --output) out="$2"; shift ;; https://*) url="$1" ;; esac; shift; done
f="$BOOTSTRAP_ROOT/web/\${url#https://}"
[[ -f $f ]] || { echo "curl: (22) The requested URL returned error: 404" >&2; exit 22; }
cp "$f" "$out"`,
};

// Each run starts a good many small processes; a busy machine is slow at that.
jest.setTimeout(60_000);

let linkFolder: string;
beforeAll(() => {
  linkFolder = fs.mkdtempSync(path.join(os.tmpdir(), 'bootstrap-links-'));
  for (const name of HARMLESS.split(' ')) {
    const found = spawnSync('bash', ['-c', `type -P ${name}`], { encoding: 'utf8' }).stdout.trim();
    if (!found) throw new Error(`this test needs ${name}`);
    fs.symlinkSync(found, path.join(linkFolder, name));
  }
});
afterAll(() => fs.rmSync(linkFolder, { recursive: true, force: true }));

const archives = new Map<string, Buffer>();
const archive = (member: string): Buffer => {
  const known = archives.get(member);
  if (known) return known;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bootstrap-pack-'));
  fs.mkdirSync(path.dirname(path.join(folder, member)), { recursive: true });
  fs.writeFileSync(path.join(folder, member), `#!/usr/bin/env bash\n# ${path.basename(member)}\n`);
  fs.writeFileSync(path.join(folder, 'LICENSE'), 'text');
  const packed = spawnSync('tar', ['-cz', '-C', folder, member, 'LICENSE']);
  fs.rmSync(folder, { recursive: true });
  archives.set(member, packed.stdout);
  return packed.stdout;
};

/** Made-up releases. This k3s only says how its node is, and keeps the file that is applied to it. */
const releases = (arch: string, nodeState: string): Record<Tool, string | Buffer> => ({
  k3s: `#!/usr/bin/env bash
applied="$BOOTSTRAP_ROOT/${APPLIED}"
case "$*" in
  *" get nodes "*) echo "node1 ${nodeState} control-plane 1s v1" ;;
  *" get -f $DEFINITIONS -o name") cat "$applied" ;;
  *" apply -f $DEFINITIONS") [[ -z \${STUB_REFUSES:-} ]] && cp "\${!#}" "$applied" ;;
  *" wait --for=condition=Established --timeout=60s -f $DEFINITIONS") [[ -s $applied ]] ;;
esac
`,
  kubectl: '#!/usr/bin/env bash\n# kubectl\n',
  k9s: archive('k9s'),
  helm: archive(`linux-${arch}/helm`),
});

class Machine {
  private readonly place = fs.mkdtempSync(path.join(os.tmpdir(), 'bootstrap-'));
  private readonly kept = `${this.place}.kept`;
  readonly root = path.join(this.place, 'root');
  private readonly stubs = path.join(this.place, 'stubs');
  private readonly script = path.join(this.stubs, 'scripts', 'bootstrap.sh');
  /** Beside the script, as in a checkout. */
  readonly definitions = path.join(this.stubs, 'dist', '00-crds.yaml');
  private readonly callsFile = path.join(this.stubs, 'calls');

  constructor(
    readonly arch: 'amd64' | 'arm64' = 'amd64',
    nodeState = 'Ready',
  ) {
    fs.mkdirSync(this.stubs);
    this.write('run/systemd/system/.keep', '');
    this.write('proc/version', 'Linux version 6.8.0-generic');
    this.write('proc/meminfo', 'MemTotal:       32768000 kB\n');
    this.write(
      'proc/cgroups',
      '#subsys_name hierarchy num_cgroups enabled\ncpuset 1 1 1\ncpu 2 1 1\nmemory 3 1 1\n',
    );
    this.write('proc/net/tcp', '  sl  local_address rem_address   st\n');
    this.write('proc/mounts', '');
    this.write('var/lib/.keep', '');
    this.write('var/log/.keep', '');
    fs.writeFileSync(this.callsFile, '');
    for (const [name, body] of Object.entries(STUBS)) this.stub(name, body);
    this.serve(nodeState);
  }

  remove(): void {
    fs.rmSync(this.place, { recursive: true, force: true });
    fs.rmSync(this.kept, { recursive: true, force: true });
  }

  /** Keeps what the machine is now, for `restore`. */
  keep(): void {
    fs.cpSync(this.place, this.kept, { recursive: true });
  }
  restore(): void {
    fs.rmSync(this.place, { recursive: true });
    fs.cpSync(this.kept, this.place, { recursive: true });
  }

  stub(name: string, body: string): void {
    fs.writeFileSync(
      path.join(this.stubs, name),
      `#!${fs.realpathSync(path.join(linkFolder, 'bash'))}\n${body}\n`,
      {
        mode: 0o755,
      },
    );
  }
  unstub(name: string): void {
    fs.rmSync(path.join(this.stubs, name));
  }

  at(file: string): string {
    return path.join(this.root, file);
  }
  write(file: string, data: string | Buffer): void {
    fs.mkdirSync(path.dirname(this.at(file)), { recursive: true });
    fs.writeFileSync(this.at(file), data);
  }
  read(file: string): string {
    return fs.readFileSync(this.at(file), 'utf8');
  }
  has(file: string): boolean {
    return fs.existsSync(this.at(file));
  }
  web(url: string): string {
    return path.join('web', url.slice('https://'.length));
  }

  /**
   * Puts made-up releases on the stand-in web, and writes a copy of the script
   * whose only change is that it pins the checksums of these files.
   */
  private serve(nodeState: string): void {
    const release = releases(this.arch, nodeState);
    let script = SOURCE;
    for (const tool of TOOLS) {
      const { url, sums } = downloads(this.arch)[tool];
      const hash = sha256(release[tool]);
      const file = path.basename(url);
      const other = `${'0'.repeat(64)}  other-${file}\n`;
      this.write(this.web(url), release[tool]);
      // kubectl's checksum file holds the hash alone.
      this.write(this.web(sums), tool === 'kubectl' ? hash : `${other}${hash}  ${file}\n`);
      script = script.replace(
        new RegExp(`^(${tool.toUpperCase()}_SHA256_${this.arch.toUpperCase()})=.*$`, 'm'),
        `$1="${hash}"`,
      );
    }
    for (const [file, text] of [
      [this.script, script],
      [this.definitions, 'kind: CustomResourceDefinition\n'],
    ] as const) {
      fs.mkdirSync(path.dirname(file));
      fs.writeFileSync(file, text);
    }
  }

  /** A folder with every file of the stand-in web under the last part of its address. */
  folder(): string {
    const folder = path.join(this.stubs, 'usb');
    fs.mkdirSync(folder, { recursive: true });
    for (const { url, sums } of Object.values(downloads(this.arch)))
      for (const file of [url, sums])
        fs.copyFileSync(this.at(this.web(file)), path.join(folder, path.basename(file)));
    return folder;
  }

  run(args: string[] = [], env: Record<string, string> = {}, input = '') {
    const before = fs.readFileSync(this.callsFile, 'utf8').length;
    const done = spawnSync('bash', [this.script, ...args], {
      encoding: 'utf8',
      input,
      env: {
        PATH: `${this.stubs}:${linkFolder}`,
        HOME: '/root',
        SUDO_USER: 'ada',
        TMPDIR: this.stubs,
        BOOTSTRAP_ROOT: this.root,
        BOOTSTRAP_WAIT_SECONDS: '1',
        CALLS: this.callsFile,
        DEFINITIONS: this.definitions,
        STUB_ARCH: this.arch === 'arm64' ? 'aarch64' : 'x86_64',
        ...env,
      },
    });
    const calls = fs.readFileSync(this.callsFile, 'utf8').slice(before).split('\n').filter(Boolean);
    return {
      code: done.status,
      out: done.stdout,
      err: done.stderr,
      calls,
      requests: calls.filter((call) => call.startsWith('curl ')),
      leftTemporary: fs.readdirSync(this.stubs).filter((name) => name.startsWith('mlops-lifecycle.')),
    };
  }

  /** Every file and folder with its content, the stand-in web left out. */
  snapshot(): string[] {
    const lines: string[] = [];
    const walk = (folder: string): void => {
      for (const entry of fs.readdirSync(this.at(folder), { withFileTypes: true })) {
        const name = path.join(folder, entry.name);
        if (name === 'web') continue;
        if (entry.isDirectory()) {
          lines.push(`${name}/`);
          walk(name);
        } else {
          lines.push(`${name} ${sha256(fs.readFileSync(this.at(name)))}`);
        }
      }
    };
    walk('');
    return lines.sort();
  }
  mode(file: string): string {
    return (fs.statSync(this.at(file)).mode & 0o777).toString(8);
  }
}

const machines: Machine[] = [];
const machine = (arch?: 'amd64' | 'arm64', nodeState?: string): Machine => {
  const made = new Machine(arch, nodeState);
  machines.push(made);
  return made;
};
afterEach(() => {
  for (const made of machines.splice(0)) made.remove();
});

let withK3s: Machine | undefined;
/** A new machine on which the script ran once. One at a time: what it wrote names the folder it ran in. */
const installed = (): Machine => {
  if (withK3s) {
    withK3s.restore();
  } else {
    withK3s = new Machine();
    expect(withK3s.run()).toMatchObject({ code: 0, err: '' });
    withK3s.keep();
  }
  return withK3s;
};
afterAll(() => withK3s?.remove());

describe('scripts/bootstrap.sh', () => {
  it('is executable', () => {
    expect(fs.statSync(SCRIPT).mode & 0o111).toBe(0o111);
  });

  it('pins a kubectl within one minor of k3s', () => {
    const minor = (tool: Tool): number => Number(version(tool).split('.')[1]);
    expect(version('k3s')).toMatch(/^v1\.34\.\d+\+k3s\d+$/);
    expect(Math.abs(minor('kubectl') - minor('k3s'))).toBeLessThanOrEqual(1);
  });

  it('pins whole sha256 sums or none', () => {
    const pins = SOURCE.match(/^[A-Z0-9]+_SHA256_(AMD64|ARM64)="(.*)"$/gm) ?? [];
    expect(pins).toHaveLength(8);
    for (const pin of pins) expect(pin).toMatch(/="([0-9a-f]{64})?"$/);
  });

  describe('without doing anything', () => {
    it('explains itself, exit codes included', () => {
      const done = machine().run(['--help'], { STUB_UID: '1000' });
      expect(done.code).toBe(0);
      for (const word of ['--only', '--dry-run', '--uninstall', '--yes', 'Exit codes', version('k3s')]) {
        expect(done.out).toContain(word);
      }
      for (const code of [0, 1, 2, 3, 4, 5, 6, 64])
        expect(done.out).toMatch(new RegExp(`^  ${code} +\\S`, 'm'));
      expect(done.calls).toEqual([]);
    });

    it('prints every action in a dry run and touches nothing, without root', () => {
      const target = machine();
      const before = target.snapshot();
      const done = target.run(['--dry-run'], { STUB_UID: '1000' });
      expect(done.code).toBe(0);
      expect(done.err).toBe('');
      for (const { url, sums } of Object.values(downloads('amd64'))) {
        expect(done.out).toContain(`would download ${url}\n`);
        expect(done.out).toContain(`would check it against ${sums}`);
      }
      for (const tool of TOOLS) expect(done.out).toContain(`/usr/local/bin/${tool}\n`);
      expect(done.out).toContain('would write');
      expect(done.calls).toEqual([]);
      expect(target.snapshot()).toEqual(before);
      expect(done.leftTemporary).toEqual([]);
    });

    it('prints what it would do to the service that it installed', () => {
      const target = installed();
      const before = target.snapshot();
      const plan = (...args: string[]) =>
        target
          .run(['--dry-run', ...args], { STUB_UID: '1000' })
          .out.split('\n')
          .filter((line) => line.startsWith('would '));
      expect(plan()).toEqual([]);
      expect(plan('--kubeconfig-mode', '644')).toEqual([
        `would write ${target.at('etc/systemd/system/k3s.service')}`,
        'would run: systemctl daemon-reload; systemctl enable k3s; systemctl restart k3s',
        'would wait up to 1 s for the node',
        `would list what was installed in ${target.at('var/lib/mlops-lifecycle/installed')}`,
      ]);
      expect(target.snapshot()).toEqual(before);
      fs.rmSync(target.at('active'));
      expect(plan()).toEqual(['would run: systemctl start k3s', 'would wait up to 1 s for the node']);
      expect(plan('--only', 'helm')).toEqual([]);
    });

    it('prints what it would take from an offline folder', () => {
      const target = machine();
      const done = target.run(['--dry-run', `--offline=${target.folder()}`]);
      expect(done.code).toBe(0);
      expect(done.out).toContain(`would take ${target.folder()}/k3s\n`);
      expect(done.out).toContain(`against ${target.folder()}/checksums.sha256 and the pinned sha256`);
      expect(done.out).not.toContain('would download');
    });

    it('shows the plan in a dry run even where a real run would stop', () => {
      const target = machine();
      fs.rmSync(target.at('run/systemd'), { recursive: true });
      const done = target.run(['--dry-run']);
      expect(done.code).toBe(0);
      expect(done.err).toContain('a real run would stop here: systemd is not running');
      expect(done.out).toContain('would install it as');
      expect(done.out).not.toContain('Type next');
    });

    it('refuses an option it does not know', () => {
      const done = machine().run(['--purge']);
      expect(done.code).toBe(64);
      expect(done.err).toContain("unknown option '--purge'");
    });

    it('refuses --only with a tool it does not know or with none', () => {
      expect(machine().run(['--only', 'k3s,docker']).err).toContain("does not know 'docker'");
      expect(machine().run(['--only', '']).code).toBe(64);
      expect(machine().run(['--only']).code).toBe(64);
    });
  });

  describe('on a machine that will not do', () => {
    const untouched = (target: Machine, args: string[], env: Record<string, string>) => {
      const before = target.snapshot();
      const done = target.run(args, env);
      expect(target.snapshot()).toEqual(before);
      expect(done.requests).toEqual([]);
      return done;
    };

    it.each(['armv7l', 'armv6l', 'i686'])('refuses a 32-bit machine (%s)', (arch) => {
      const done = untouched(machine(), [], { STUB_ARCH: arch });
      expect(done.code).toBe(2);
      expect(done.err).toContain(`32-bit (${arch})`);
    });

    it('refuses an architecture it does not know', () => {
      const done = untouched(machine(), [], { STUB_ARCH: 'riscv64' });
      expect(done.code).toBe(2);
      expect(done.err).toContain("'riscv64'");
    });

    it('tells a macOS owner what to type instead', () => {
      const done = untouched(machine(), [], { STUB_OS: 'Darwin', STUB_ARCH: 'arm64' });
      expect(done.code).toBe(2);
      expect(done.err).toContain(
        `k3d cluster create mlops --image rancher/k3s:${version('k3s').replace('+', '-')} --port 80:80@loadbalancer\n`,
      );
      expect(done.err).toContain('multipass launch');
    });

    it('tells a WSL2 owner without systemd what to write where', () => {
      const target = machine();
      fs.rmSync(target.at('run/systemd'), { recursive: true });
      target.write('proc/version', 'Linux version 5.15.167.4-microsoft-standard-WSL2');
      const done = untouched(target, [], {});
      expect(done.code).toBe(2);
      expect(done.err).toContain('/etc/wsl.conf');
      expect(done.err).toContain('[boot]\nsystemd=true\n');
      expect(done.err).toContain('wsl --shutdown');
    });

    it('tells a WSL1 owner to move to WSL2', () => {
      const target = machine();
      fs.rmSync(target.at('run/systemd'), { recursive: true });
      target.write('proc/version', 'Linux version 4.4.0-19041-Microsoft');
      expect(untouched(target, [], {}).err).toContain('wsl --set-version');
    });

    it('goes on under WSL2 with systemd', () => {
      const target = machine();
      target.write('proc/version', 'Linux version 5.15.167.4-microsoft-standard-WSL2');
      expect(target.run().code).toBe(0);
    });

    it('refuses a machine without systemd, and names the way out', () => {
      const target = machine();
      fs.rmSync(target.at('run/systemd'), { recursive: true });
      const done = untouched(target, [], {});
      expect(done.code).toBe(2);
      expect(done.err).toContain('--only kubectl,k9s,helm');
    });

    it('needs no systemd for the client tools', () => {
      const target = machine();
      fs.rmSync(target.at('run/systemd'), { recursive: true });
      const done = target.run(['--only', 'kubectl,k9s,helm']);
      expect(done.code).toBe(0);
      expect(target.has('usr/local/bin/helm')).toBe(true);
      expect(target.has('usr/local/bin/k3s')).toBe(false);
      expect(done.calls.filter((call) => call.startsWith('systemctl'))).toEqual([]);
    });

    it('refuses to run as anyone but root', () => {
      const done = untouched(machine(), [], { STUB_UID: '1000' });
      expect(done.code).toBe(3);
      expect(done.err).toContain('uid 1000');
      expect(done.err).toContain('sudo scripts/bootstrap.sh');
    });

    it('names the tool that is missing', () => {
      const target = machine();
      target.unstub('curl');
      const done = untouched(target, [], {});
      expect(done.code).toBe(3);
      expect(done.err).toContain('missing on this machine: curl');
    });

    it.each([
      ['the API server', '192B', 6443],
      ['the kubelet', '280A', 10250],
    ])('refuses when the port of %s is taken', (_of, hex, port) => {
      const target = machine();
      target.write('proc/net/tcp', `  sl\n   0: 00000000:${hex} 00000000:0000 0A 0 0 0\n`);
      const done = untouched(target, [], {});
      expect(done.code).toBe(3);
      expect(done.err).toContain(`port ${port} is taken`);
      expect(done.err).toContain(`'sport = :${port}'`);
    });

    it('does not take a connection to such a port for a program that listens there', () => {
      const target = machine();
      target.write('proc/net/tcp', '  sl\n   0: 0100007F:192B 0100007F:9999 01 0 0 0\n');
      expect(target.run().code).toBe(0);
    });

    it.each([
      ['version 2', { 'sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io pids\n' }],
      [
        'version 1',
        {
          'proc/cgroups':
            '#subsys_name hierarchy num_cgroups enabled\ncpuset 1 1 1\ncpu 2 1 1\nmemory 0 1 0\n',
        },
      ],
    ])('refuses a kernel with the memory cgroup switched off (%s)', (_version, files) => {
      const target = machine();
      for (const [file, text] of Object.entries(files)) target.write(file, text);
      const done = untouched(target, [], {});
      expect(done.code).toBe(3);
      expect(done.err).toContain('switched off: memory.');
      expect(done.err).toContain('cgroup_enable=memory');
    });

    it('refuses a kernel without cgroups', () => {
      const target = machine();
      fs.rmSync(target.at('proc/cgroups'));
      expect(untouched(target, [], {}).err).toContain('no cgroups here');
    });

    it('refuses an offline folder that is not there, and a mode for the kubeconfig that is neither', () => {
      expect(untouched(machine(), ['--offline', '/nowhere'], {}).err).toContain("got '/nowhere'");
      expect(untouched(machine(), ['--offline'], {}).code).toBe(64);
      expect(untouched(machine(), ['--kubeconfig-mode', '666'], {}).err).toContain("got '666'");
      expect(untouched(machine(), ['--kubeconfig-mode'], {}).code).toBe(64);
    });

    it('refuses to go over a k3s of another minor that somebody else installed', () => {
      const target = machine();
      target.write('usr/local/bin/k3s', '#!/usr/bin/env bash\necho "k3s version v1.30.1+k3s1 (abc)"\n');
      fs.chmodSync(target.at('usr/local/bin/k3s'), 0o755);
      const done = untouched(target, [], {});
      expect(done.code).toBe(3);
      expect(done.err).toContain("'v1.30.1+k3s1'");
    });
  });

  describe('warns and goes on', () => {
    it('on arm64, with the arm64 files', () => {
      const target = machine('arm64');
      const done = target.run();
      expect(done.code).toBe(0);
      expect(done.err).toContain('warning: this machine is aarch64');
      expect(done.err).toContain('Triton');
      for (const { url } of Object.values(downloads('arm64')))
        expect(done.requests.join('\n')).toContain(url);
    });

    it('when disk or memory is short', () => {
      const target = machine();
      target.write('proc/meminfo', 'MemTotal:        4000000 kB\n');
      const done = target.run([], { STUB_FREE_KB: '10000000' });
      expect(done.code).toBe(0);
      expect(done.err).toContain('10 GB free');
      expect(done.err).toContain('3906 MiB of memory');
    });

    it('when a web port is taken, which k3s survives', () => {
      const target = machine();
      target.write('proc/net/tcp6', '  sl\n   0: 00000000000000000000000000000000:0050 0:0000 0A 0 0 0\n');
      const done = target.run();
      expect(done.code).toBe(0);
      expect(done.err).toContain('port 80 is taken');
    });

    it.each([
      ['firewalld', 'sudo firewall-cmd --reload', (target: Machine) => target.stub('firewall-cmd', 'true')],
      [
        'ufw',
        'sudo ufw allow from 10.43.0.0/16',
        (target: Machine) => target.write('etc/ufw/ufw.conf', 'ENABLED=yes\n'),
      ],
    ])('when %s is on, with the commands that let pods through', (name, command, prepare) => {
      const target = machine();
      prepare(target);
      const done = target.run();
      expect(done.code).toBe(0);
      expect(done.err).toContain(`${name} is on`);
      expect(done.err).toContain(command);
    });

    it('not about a firewall that is off', () => {
      const target = machine();
      target.stub('firewall-cmd', 'exit 252');
      target.write('etc/ufw/ufw.conf', '# ENABLED=yes\nENABLED=no\n');
      expect(target.run(['--dry-run']).err).toBe('');
    });

    it('when SELinux is enforcing', () => {
      const target = machine();
      target.stub('getenforce', 'echo Enforcing');
      expect(target.run(['--dry-run']).err).toContain('k3s-selinux');
    });

    it.each([
      ['etc/environment', 'https_proxy=http://proxy:3128\n'],
      ['etc/environment', 'PATH=/bin\nexport HTTPS_PROXY="http://proxy:3128"\n'],
      ['etc/apt/apt.conf.d/99proxy', 'Acquire::http::Proxy "http://proxy:3128";\n'],
    ])('when %s names a proxy that sudo dropped', (file, text) => {
      const target = machine();
      target.write(file, text);
      expect(target.run(['--dry-run']).err).toContain(`/${file} names a proxy`);
      expect(target.run(['--dry-run'], { https_proxy: 'http://proxy:3128' }).err).toBe('');
      target.write(file, `# ${text.split('\n').join('\n# ')}`);
      expect(target.run(['--dry-run']).err).toBe('');
    });

    it('when a proxy is set for http alone', () => {
      const done = machine().run(['--dry-run'], { http_proxy: 'http://proxy:3128' });
      expect(done.err).toContain('https_proxy is not');
    });

    it('when every user may read the kubeconfig, as asked', () => {
      const target = machine();
      const done = target.run(['--kubeconfig-mode=644']);
      expect(done.code).toBe(0);
      expect(done.err).toContain('every user of this machine can read');
      expect(target.read('etc/systemd/system/k3s.service')).toContain('--write-kubeconfig-mode 644\n');
      expect(target.mode('home/ada/.kube/config')).toBe('600');
      const closed = target.run();
      expect(closed.err).toBe('');
      expect(closed.calls).toContain('systemctl restart --no-block k3s');
      expect(target.read('etc/systemd/system/k3s.service')).toContain('--write-kubeconfig-mode 600\n');
    });

    it('asks for the disk that the images take, with a GPU and without', () => {
      const target = machine();
      target.stub('nvidia-container-runtime', 'true');
      const done = target.run(['--dry-run'], { STUB_GPU: '1', STUB_FREE_KB: '30000000' });
      expect(done.err).toContain('about 40 GB');
      expect(machine().run(['--dry-run'], { STUB_FREE_KB: '30000000' }).err).toContain('about 40 GB');
      expect(machine().run(['--dry-run'], { STUB_FREE_KB: '50000000' }).err).toBe('');
    });

    it('when a kubectl is there that somebody else installed, and leaves it', () => {
      const target = machine();
      target.write('usr/local/bin/kubectl', 'theirs');
      const done = target.run();
      expect(done.code).toBe(0);
      expect(done.err).toContain('kubectl was not put there by this script');
      expect(target.read('usr/local/bin/kubectl')).toBe('theirs');
    });
  });

  describe('brings the definitions', () => {
    it('that lie beside it, once, and says so', () => {
      const target = machine();
      const done = target.run();
      expect([done.code, done.err]).toEqual([0, '']);
      expect(done.out).toContain(`definitions: the cluster has those of ${target.definitions}\n`);
      expect(target.read(APPLIED)).toBe(fs.readFileSync(target.definitions, 'utf8'));
      const again = target.run();
      expect([again.code, again.err]).toEqual([0, '']);
      expect(again.out).not.toContain('definitions');
    });

    it('and leaves any that is there', () => {
      const target = machine();
      target.run();
      target.write(APPLIED, 'somebody else’s\n');
      expect(target.run().code).toBe(0);
      expect(target.read(APPLIED)).toBe('somebody else’s\n');
    });

    it('but not in a dry run, which says that it would', () => {
      const target = machine();
      const done = target.run(['--dry-run']);
      expect(done.out).toContain(`would apply ${target.definitions} to the cluster\n`);
      expect(target.has(APPLIED)).toBe(false);
    });

    it('or stops with 5 where the cluster refuses them, the kubeconfig written', () => {
      const target = machine();
      const done = target.run([], { STUB_REFUSES: '1' });
      expect(done.code).toBe(5);
      expect(done.err).toContain(`error: the cluster did not take the definitions of ${target.definitions}`);
      expect(target.has('home/ada/.kube/config')).toBe(true);
      expect(target.run().code).toBe(0);
      expect(target.has(APPLIED)).toBe(true);
    });

    it('or, where it stands alone, says that the apply is given twice', () => {
      const target = machine();
      fs.rmSync(target.definitions);
      const done = target.run();
      expect([done.code, done.err]).toEqual([0, '']);
      expect(done.out).toMatch(
        /\n {2}kubectl apply -f dist\/laptop {3}# twice: the first one brings the definitions/,
      );
      expect(target.run(['--dry-run']).out).not.toContain('would apply');
    });
  });

  describe('says what to type next', () => {
    const next = (done: { out: string }): string => done.out.slice(done.out.indexOf('Type next:')).trim();

    it('for the laptop where there is no GPU', () => {
      expect(next(machine().run())).toBe('Type next:\n  kubectl apply -f dist/laptop');
    });

    it('for the whole platform where a GPU, its driver and the toolkit are ready', () => {
      const target = machine();
      target.stub('nvidia-container-runtime', 'true');
      const done = target.run([], { STUB_GPU: '1' });
      expect(done.err).toBe('');
      expect(next(done)).toBe('Type next:\n  kubectl apply -f dist');
    });

    it.each([
      ['lspci sees it', { STUB_LSPCI: '1' }, () => undefined],
      ['its device file is there', {}, (target: Machine) => target.write('dev/nvidia0', '')],
      [
        'the PCI bus lists it',
        {},
        (target: Machine) => {
          target.write('sys/bus/pci/devices/0000:01:00.0/vendor', '0x10de\n');
          target.write('sys/bus/pci/devices/0000:01:00.0/class', '0x030200\n');
        },
      ],
    ])('for the laptop where a GPU has no driver (%s), and says what to install', (_name, env, prepare) => {
      const target = machine();
      prepare(target);
      const done = target.run(['--dry-run'], env as Record<string, string>);
      expect(done.err).toContain('no driver answers');
      expect(next(done)).toContain('dist/laptop');
    });

    it('for the laptop where the container toolkit is missing, and says so', () => {
      const done = machine().run(['--dry-run'], { STUB_GPU: '1' });
      expect(done.err).toContain('nvidia-container-toolkit');
      expect(next(done)).toContain('dist/laptop');
    });
  });

  describe('installs', () => {
    it('the four tools, the service and the kubeconfig', () => {
      const target = machine();
      const done = target.run();
      expect(done.err).toBe('');
      expect(done.code).toBe(0);
      for (const tool of TOOLS) expect(target.mode(`usr/local/bin/${tool}`)).toBe('755');
      expect(target.read('usr/local/bin/helm')).toContain('# helm');
      expect(target.read('usr/local/bin/k9s')).toContain('# k9s');

      const unit = target.read('etc/systemd/system/k3s.service');
      expect(unit).toContain(
        `ExecStart=${target.at('usr/local/bin/k3s')} server --write-kubeconfig-mode 600\n`,
      );
      expect(unit).not.toContain('default-runtime');
      expect(done.calls).toEqual(
        expect.arrayContaining([
          'systemctl daemon-reload',
          'systemctl enable --quiet k3s',
          'systemctl restart --no-block k3s',
          `chown 1000:1000 ${target.at('home/ada/.kube/config.new')}`,
        ]),
      );
      expect(target.mode('home/ada/.kube/config')).toBe('600');
      expect(target.read('home/ada/.kube/config')).toBe('apiVersion: v1\n');
      expect(done.leftTemporary).toEqual([]);
      expect(fs.readdirSync(target.at('usr/local/bin')).sort()).toEqual([...TOOLS].sort());
    });

    it('only over https with TLS 1.2 or newer, failing on error pages, with retries', () => {
      const { requests } = machine().run();
      expect(requests).toHaveLength(8);
      for (const request of requests) {
        expect(request).toMatch(/--proto =https --tlsv1\.2 --fail --location .*--retry \d/);
        expect(request).toMatch(/ https:\/\/\S+$/);
      }
    });

    it('only what --only names', () => {
      const target = machine();
      const done = target.run(['--only', 'kubectl,helm']);
      expect(done.code).toBe(0);
      expect(done.requests).toHaveLength(4);
      expect(fs.readdirSync(target.at('usr/local/bin')).sort()).toEqual(['helm', 'kubectl']);
      expect(done.out).not.toContain('Type next');
    });

    it('nothing the second time, makes no request and says so', () => {
      const target = installed();
      const before = target.snapshot();
      const done = target.run();
      expect(done.code).toBe(0);
      expect(done.requests).toEqual([]);
      expect(done.calls).toEqual(['systemctl is-active --quiet k3s']);
      expect(done.out).toContain('Nothing to install.');
      expect(done.out).not.toContain('waiting');
      for (const tool of TOOLS) expect(done.out).toContain(`${tool} ${version(tool)}: already installed.`);
      expect(target.snapshot()).toEqual(before);
    });

    it('again only the binary that was damaged since', () => {
      const target = installed();
      fs.appendFileSync(target.at('usr/local/bin/helm'), 'damage');
      const done = target.run();
      expect(done.code).toBe(0);
      expect(done.requests).toHaveLength(2);
      expect(target.read('usr/local/bin/helm')).not.toContain('damage');
    });

    it('starts a k3s that is installed but stopped', () => {
      const target = installed();
      fs.rmSync(target.at('active'));
      const done = target.run();
      expect(done.requests).toEqual([]);
      expect(done.calls).toContain('systemctl start --no-block k3s');
    });

    it('the proxy settings for the service, readable by root alone', () => {
      const target = machine();
      const done = target.run([], { https_proxy: 'http://u:p"w@proxy:3128', no_proxy: 'corp.example' });
      expect(done.code).toBe(0);
      expect(target.mode('etc/systemd/system/k3s.service.env')).toBe('600');
      expect(target.read('etc/systemd/system/k3s.service.env')).toBe(
        'HTTPS_PROXY="http://u:p\\"w@proxy:3128"\n' +
          'NO_PROXY="corp.example,127.0.0.0/8,10.42.0.0/16,10.43.0.0/16,.svc,.cluster.local"\n',
      );
      expect(done.out).not.toContain('proxy:3128');
      expect(machine().has('etc/systemd/system/k3s.service.env')).toBe(false);
    });

    it('the proxy settings also when they are set or changed later, and keeps them when they are not', () => {
      const FILE = 'etc/systemd/system/k3s.service.env';
      const target = installed();
      for (const proxy of ['http://proxy:3128', 'http://other:3128']) {
        const plan = target.run(['--dry-run'], { https_proxy: proxy });
        expect(plan.out).toContain(`would write the proxy settings to ${target.at(FILE)}\n`);
        expect(plan.out).toContain('systemctl restart k3s');
        expect(plan.out).not.toContain('k3s.service\n');
        const done = target.run([], { https_proxy: proxy });
        expect(done.code).toBe(0);
        expect(done.requests).toEqual([]);
        expect(done.calls).toContain('systemctl restart --no-block k3s');
        expect(target.mode(FILE)).toBe('600');
        expect(target.read(FILE)).toContain(`HTTPS_PROXY="${proxy}"\n`);
        expect(target.run([], { https_proxy: proxy }).calls).toEqual(['systemctl is-active --quiet k3s']);
      }
      const before = target.snapshot();
      expect(target.run().calls).toEqual(['systemctl is-active --quiet k3s']);
      expect(target.snapshot()).toEqual(before);
    });

    it('no proxy settings over those that somebody wrote', () => {
      const FILE = 'etc/systemd/system/k3s.service.env';
      const target = machine();
      target.run([], { https_proxy: 'http://proxy:3128' });
      target.write(FILE, 'HTTPS_PROXY="http://theirs:3128"\n');
      const done = target.run([], { https_proxy: 'http://other:3128' });
      expect(done.code).toBe(0);
      expect(done.err).toContain('k3s.service.env was changed or put there by somebody else');
      expect(done.calls).toEqual(['systemctl is-active --quiet k3s']);
      expect(target.read(FILE)).toContain('theirs');
    });

    it('and says where to look when the node does not become ready', () => {
      const target = machine('amd64', 'NotReady');
      const done = target.run([], { BOOTSTRAP_WAIT_SECONDS: '0' });
      expect(done.code).toBe(5);
      expect(done.err).toContain('journalctl -u k3s');
      expect(done.err).toContain('--uninstall');
      const again = target.run([], { BOOTSTRAP_WAIT_SECONDS: '0' });
      expect(again.code).toBe(5);
      expect(again.out).toContain('waiting up to 0 s for the node');
      expect(again.err).toContain('journalctl -u k3s');
      expect(again.out).not.toContain('Type next');
      expect([...again.requests, ...again.calls]).toEqual(['systemctl is-active --quiet k3s']);
      expect(target.run(['--uninstall', '--yes']).code).toBe(0);
      expect(target.has('usr/local/bin/k3s')).toBe(false);
    });
  });

  describe('does not trust a download', () => {
    it.each(TOOLS)('stops before installing anything when the %s file was tampered with', (tool) => {
      const target = machine();
      const { url } = downloads('amd64')[tool];
      const file = target.at(target.web(url));
      const expected = sha256(fs.readFileSync(file));
      fs.appendFileSync(file, 'x');
      const actual = sha256(fs.readFileSync(file));
      const before = target.snapshot();
      const done = target.run();
      expect(done.code).toBe(4);
      expect(done.err).toContain(path.basename(url));
      expect(done.err).toContain(`expected ${expected}, got ${actual}`);
      expect(done.err).toContain('Run this again');
      expect(target.snapshot()).toEqual(before);
      expect(done.leftTemporary).toEqual([]);
      expect(done.calls.filter((call) => !call.startsWith('curl '))).toEqual([]);
    });

    it.each(TOOLS)('stops when %s and its checksum file were both replaced', (tool) => {
      const target = machine();
      const { url, sums } = downloads('amd64')[tool];
      const file = target.at(target.web(url));
      const pin = sha256(fs.readFileSync(file));
      fs.appendFileSync(file, 'x');
      const actual = sha256(fs.readFileSync(file));
      target.write(target.web(sums), target.read(target.web(sums)).replace(pin, actual));
      const before = target.snapshot();
      const done = target.run();
      expect(done.code).toBe(4);
      expect(done.err).toContain(`pinned in this script: expected ${pin}, got ${actual}`);
      expect(target.snapshot()).toEqual(before);
    });

    it.each(TOOLS)('stops when the checksum file of %s is missing', (tool) => {
      const target = machine();
      const { sums } = downloads('amd64')[tool];
      fs.rmSync(target.at(target.web(sums)));
      const before = target.snapshot();
      const done = target.run();
      expect(done.code).toBe(4);
      expect(done.err).toContain(
        `${tool}: could not download ${sums}: the server refuses it or does not have it`,
      );
      expect(target.snapshot()).toEqual(before);
      expect(done.leftTemporary).toEqual([]);
    });

    it('stops when the checksum file is something else', () => {
      const target = machine();
      target.write(target.web(downloads('amd64').helm.sums), '<html>please log in</html>\n');
      const done = target.run();
      expect(done.code).toBe(4);
      expect(done.err).toContain('holds no sha256 for helm-');
      expect(target.has('usr/local/bin')).toBe(false);
    });

    it('stops when the file itself is missing', () => {
      const target = machine();
      fs.rmSync(target.at(target.web(downloads('amd64').k9s.url)));
      const done = target.run();
      expect(done.code).toBe(4);
      expect(done.err).toContain('k9s: could not download');
      expect(target.has('usr/local/bin')).toBe(false);
    });
  });

  describe('from an offline folder', () => {
    it('installs without a request, and without curl', () => {
      const target = machine();
      target.unstub('curl');
      const done = target.run(['--offline', target.folder()]);
      expect(done.code).toBe(0);
      for (const tool of TOOLS) expect(target.mode(`usr/local/bin/${tool}`)).toBe('755');
      expect(done.err).toContain('has no k3s-airgap-images-amd64.tar.zst');
    });

    it('gives k3s an archive of its images that came later, once it is checked', () => {
      const NAME = 'k3s-airgap-images-amd64.tar.zst';
      const target = machine();
      const folder = target.folder();
      target.run(['--offline', folder]);
      fs.writeFileSync(path.join(folder, NAME), 'images');
      fs.appendFileSync(path.join(folder, 'sha256sum-amd64.txt'), `${sha256('other')}  ${NAME}\n`);
      const before = target.snapshot();
      const refused = target.run(['--offline', folder]);
      expect(refused.code).toBe(4);
      expect(refused.err).toContain(`${NAME} does not match its published checksum`);
      expect(target.snapshot()).toEqual(before);

      fs.writeFileSync(path.join(folder, 'sha256sum-amd64.txt'), `${sha256('images')}  ${NAME}\n`);
      const plan = target.run(['--dry-run', '--offline', folder]).out;
      expect(plan).toContain(
        `would take ${folder}/${NAME} and check it against ${folder}/sha256sum-amd64.txt\n`,
      );
      expect(plan).toContain('systemctl restart k3s');
      const done = target.run(['--offline', folder]);
      expect(done.code).toBe(0);
      expect(done.calls).toContain('systemctl restart --no-block k3s');
      expect(target.read(`var/lib/rancher/k3s/agent/images/${NAME}`)).toBe('images');
      expect(fs.readdirSync(target.at('var/lib/rancher/k3s/agent/images'))).toEqual([NAME]);
      expect(target.run(['--offline', folder]).calls).toEqual(['systemctl is-active --quiet k3s']);
    });

    it.each(TOOLS)('stops at a %s that was tampered with', (tool) => {
      const target = machine();
      const folder = target.folder();
      fs.appendFileSync(path.join(folder, path.basename(downloads('amd64')[tool].url)), 'x');
      const before = target.snapshot();
      const done = target.run(['--offline', folder]);
      expect(done.code).toBe(4);
      expect(done.err).toContain('does not match its published checksum');
      expect(target.snapshot()).toEqual(before);
    });

    it('names the file that is missing, and where to get it', () => {
      const target = machine();
      const folder = target.folder();
      fs.rmSync(path.join(folder, 'kubectl.sha256'));
      const done = target.run(['--offline', folder]);
      expect(done.code).toBe(4);
      expect(done.err).toContain(`${folder}/kubectl.sha256 is missing`);
      expect(done.err).toContain(downloads('amd64').kubectl.sums);
      expect(target.has('usr/local/bin')).toBe(false);
    });
  });

  describe('names the kubeconfig in the profile', () => {
    const HINT = 'Type next:\n  export KUBECONFIG=$HOME/.kube/config\n  kubectl apply';
    const LINES = '# mlops-lifecycle: the cluster on this machine\nexport KUBECONFIG="$HOME/.kube/config"\n';

    it.each([
      ['/bin/bash', '.bashrc', LINES],
      ['/usr/bin/zsh', '.zshrc', LINES],
      ['/bin/dash', '.profile', LINES],
      [
        '/usr/bin/fish',
        '.config/fish/conf.d/mlops-lifecycle.fish',
        LINES.replace('export KUBECONFIG=', 'set -gx KUBECONFIG '),
      ],
    ])('of %s, once, as the user', (shell, profile, lines) => {
      const target = machine();
      target.write('home/ada/.keep', '');
      const done = target.run([], { STUB_SHELL: shell });
      expect(done.code).toBe(0);
      expect(done.calls).toContain('runuser ada');
      expect(target.read(`home/ada/${profile}`)).toBe(lines);
      target.run([], { STUB_SHELL: shell });
      expect(target.read(`home/ada/${profile}`)).toBe(lines);
      expect(target.run(['--uninstall', '--yes']).code).toBe(0);
      expect(target.has(`home/ada/${profile}`)).toBe(false);
    });

    it('and leaves the other lines, also a last one that was left open', () => {
      const target = machine();
      target.write('home/ada/.bashrc', 'alias k=kubectl\nset -o vi');
      target.run();
      expect(target.read('home/ada/.bashrc')).toBe(`alias k=kubectl\nset -o vi\n${LINES}`);
      fs.appendFileSync(target.at('home/ada/.bashrc'), 'umask 077\n');
      target.run(['--uninstall', '--yes']);
      expect(target.read('home/ada/.bashrc')).toBe('alias k=kubectl\nset -o vi\numask 077\n');
    });

    it.each([
      ['its owner took the line out', '# mlops-lifecycle: the cluster on this machine\numask 077\n'],
      ['its owner changed the line', `${LINES.replace('config', 'other')}umask 077\n`],
    ])('and takes out nothing else where %s', (_how, text) => {
      const target = installed();
      target.write('home/ada/.bashrc', text);
      expect(target.run(['--uninstall', '--yes']).code).toBe(0);
      expect(target.read('home/ada/.bashrc')).toBe(text.slice(text.indexOf('\n') + 1));
    });

    it('not where the user took the line out again, and then says it', () => {
      const target = machine();
      expect(target.run().out).not.toContain('export KUBECONFIG');
      target.write('home/ada/.bashrc', '');
      expect(target.run().out).toContain(HINT);
      expect(target.read('home/ada/.bashrc')).toBe('');
      expect(target.run(['--uninstall', '--yes']).out).not.toContain('removed: the line');
      expect(target.read('home/ada/.bashrc')).toBe('');
    });

    it('not where something sets it already, where the profile is a link, or for a shell that has none', () => {
      const set = machine();
      set.write('home/ada/.bashrc', 'export KUBECONFIG=~/work\n');
      const beside = set.run();
      expect(beside.out).toContain('sets KUBECONFIG already');
      expect(beside.out).toContain(HINT);
      expect(set.run().out).toContain(HINT);
      expect(set.read('home/ada/.bashrc')).toBe('export KUBECONFIG=~/work\n');

      const link = machine();
      link.write('etc/shadow', 'secrets\n');
      link.write('home/ada/.keep', '');
      fs.symlinkSync(link.at('etc/shadow'), link.at('home/ada/.bashrc'));
      const linked = link.run();
      expect(linked.out).toContain('is a link and is left as it is');
      expect(linked.out).toContain(HINT);
      expect(link.read('etc/shadow')).toBe('secrets\n');

      const unknown = machine().run([], { STUB_SHELL: '/usr/sbin/nologin' });
      expect(unknown.calls).not.toContain('runuser ada');
      expect(unknown.out).toContain(HINT);

      const fish = machine();
      fish.write('home/ada/.config/fish/conf.d/mlops-lifecycle.fish', 'set -gx KUBECONFIG ~/work\n');
      expect(fish.run([], { STUB_SHELL: '/usr/bin/fish' }).out).toContain(
        'Type next:\n  set -gx KUBECONFIG $HOME/.kube/config\n  kubectl apply',
      );

      const appended = installed();
      fs.appendFileSync(appended.at('home/ada/.bashrc'), 'export KUBECONFIG=~/work\n');
      expect(appended.run().out).toContain(HINT);
    });
  });

  describe('leaves a kubeconfig alone', () => {
    it('that was there before, and writes its own beside it', () => {
      const target = machine();
      target.write('home/ada/.kube/config', 'work clusters');
      const done = target.run();
      expect(done.code).toBe(0);
      expect(target.read('home/ada/.kube/config')).toBe('work clusters');
      expect(target.read('home/ada/.kube/mlops-lifecycle')).toBe('apiVersion: v1\n');
      expect(target.mode('home/ada/.kube/mlops-lifecycle')).toBe('600');
      expect(done.out).toContain('  export KUBECONFIG=/home/ada/.kube/mlops-lifecycle\n  kubectl apply');
      expect(target.run().out).toContain('export KUBECONFIG=/home/ada/.kube/mlops-lifecycle');
    });

    it('that it wrote itself and its owner changed since', () => {
      const target = installed();
      fs.appendFileSync(target.at('home/ada/.kube/config'), 'namespace: mine\n');
      const before = target.snapshot();
      expect(target.run().code).toBe(0);
      expect(target.run(['--uninstall', '--yes']).err).toContain('was changed since');
      expect(target.read('home/ada/.kube/config')).toContain('namespace: mine');
      expect(before).toContainEqual(expect.stringContaining('home/ada/.kube/config '));
    });

    it('unless it is unchanged and the cluster has a new one', () => {
      const target = installed();
      target.write('etc/rancher/k3s/k3s.yaml', 'new certificates\n');
      target.run();
      expect(target.read('home/ada/.kube/config')).toBe('new certificates\n');
    });
  });

  describe('uninstalls', () => {
    it('what it installed and only that', () => {
      const target = machine();
      target.write('usr/local/bin/other', 'theirs');
      target.write('home/ada/.kube/config', 'work clusters');
      target.write('etc/systemd/system/other.service', 'theirs');
      const before = target.snapshot();
      target.run();
      const done = target.run(['--uninstall', '--yes']);
      expect(done.err).toBe('');
      expect(done.code).toBe(0);
      expect(done.calls).toContain('systemctl disable --now k3s');
      const left = target.snapshot().filter((line) => !line.startsWith('rules '));
      expect(left).toEqual(before);
      expect(done.leftTemporary).toEqual([]);
    });

    it('leaves folders and binaries that were there before', () => {
      const target = machine();
      target.write('var/lib/rancher/k3s/old', 'old data');
      target.write('var/log/pods/old', 'old log');
      target.write('usr/local/bin/helm', 'theirs');
      target.run();
      const done = target.run(['--uninstall', '--yes']);
      expect(done.out).toContain('was there before k3s');
      expect(target.read('var/lib/rancher/k3s/old')).toBe('old data');
      expect(target.read('var/log/pods/old')).toBe('old log');
      expect(target.has('var/log/containers')).toBe(false);
      expect(target.has('etc/rancher')).toBe(false);
      expect(target.read('usr/local/bin/helm')).toBe('theirs');
    });

    it('leaves a binary that somebody replaced since', () => {
      const target = machine();
      target.run(['--only', 'kubectl']);
      target.write('usr/local/bin/kubectl', 'theirs');
      expect(target.run(['--uninstall', '--yes']).err).toContain('it stays');
      expect(target.read('usr/local/bin/kubectl')).toBe('theirs');
    });

    it('only what --only names, and the rest later', () => {
      const target = installed();
      const done = target.run(['--uninstall', '--yes', '--only', 'helm']);
      expect(done.calls).toEqual([]);
      expect(fs.readdirSync(target.at('usr/local/bin')).sort()).toEqual(['k3s', 'k9s', 'kubectl']);
      expect(target.run(['--uninstall', '--yes']).code).toBe(0);
      expect(fs.readdirSync(target.at('usr/local/bin'))).toEqual([]);
    });

    it.each(['no\n', '', 'y\n'])('nothing when the answer is not yes (%j)', (answer) => {
      const target = machine();
      target.run(['--only', 'helm']);
      const before = target.snapshot();
      const done = target.run(['--uninstall'], {}, answer);
      expect(done.code).toBe(6);
      expect(done.out).toContain('Type yes');
      expect(target.snapshot()).toEqual(before);
    });

    it('after a yes', () => {
      const target = machine();
      target.run(['--only', 'helm']);
      expect(target.run(['--uninstall'], {}, 'yes\n').code).toBe(0);
      expect(target.has('usr/local/bin/helm')).toBe(false);
    });

    it('nothing in a dry run', () => {
      const target = installed();
      const before = target.snapshot();
      const done = target.run(['--uninstall', '--dry-run'], { STUB_UID: '1000' });
      expect(done.code).toBe(0);
      expect(done.out).toContain(target.at('usr/local/bin/k3s'));
      expect(done.calls).toEqual([]);
      expect(target.snapshot()).toEqual(before);
    });

    it('nothing where it installed nothing, and says so', () => {
      const target = machine();
      const before = target.snapshot();
      const done = target.run(['--uninstall', '--yes']);
      expect(done.code).toBe(0);
      expect(done.out).toContain('Nothing to remove');
      expect(target.snapshot()).toEqual(before);
    });

    it('the mounts, network interfaces and firewall rules of k3s, not those of others', () => {
      const target = installed();
      const pod = target.at('var/lib/kubelet/pods/1/volumes/a');
      const shm = target.at('run/k3s/containerd/2/shm');
      target.write(
        'proc/mounts',
        `/dev/a / ext4 rw 0 0\ntmpfs ${pod} tmpfs rw 0 0\nshm ${shm} tmpfs rw 0 0\n/dev/b /data ext4 rw 0 0\n`,
      );
      const done = target.run(['--uninstall', '--yes']);
      expect(done.code).toBe(0);
      expect(done.calls.filter((call) => call.startsWith('umount'))).toEqual([
        `umount ${pod}`,
        `umount ${shm}`,
      ]);
      expect(done.calls.filter((call) => call.startsWith('ip link'))).toEqual([
        'ip link delete flannel.1',
        'ip link delete cni0',
        'ip link delete veth1',
      ]);
      expect(target.read('rules')).toBe('*filter\n-A INPUT -s 192.0.2.1 -j DROP\nCOMMIT\n');
    });

    it('deletes nothing while a volume cannot be unmounted', () => {
      const target = installed();
      target.write('var/lib/kubelet/pods/1/data', 'precious');
      target.write('proc/mounts', `nas ${target.at('var/lib/kubelet/pods/1')} nfs rw 0 0\n`);
      const done = target.run(['--uninstall', '--yes'], { STUB_BUSY: '1' });
      expect(done.code).toBe(5);
      expect(done.err).toContain('could not unmount');
      expect(target.read('var/lib/kubelet/pods/1/data')).toBe('precious');
      expect(target.has('usr/local/bin/k3s')).toBe(true);
    });

    it('nothing without ps and umount, and names the packages that bring them', () => {
      const target = installed();
      for (const name of ['ps', 'umount']) target.unstub(name);
      const before = target.snapshot();
      const done = target.run(['--uninstall', '--yes']);
      expect(done.code).toBe(3);
      expect(done.err).toContain('missing on this machine: ps umount');
      expect(done.err).toMatch(
        /apt-get install .* procps mount; Fedora: dnf install .* procps-ng util-linux\)/,
      );
      expect(target.snapshot()).toEqual(before);
    });

    it('the containers that outlive the service, and no other process', async () => {
      const target = installed();
      const [shim, child, other] = [spawn('sleep', ['60']), spawn('sleep', ['60']), spawn('sleep', ['60'])];
      const ended = (process: ChildProcess) =>
        new Promise((resolve) => process.once('exit', (_c, signal) => resolve(signal)));
      const ends = [ended(shim), ended(child)];
      try {
        target.write(
          'ps',
          `${shim.pid} 1 ${target.at('var/lib/rancher/k3s/data/abc/bin/containerd-shim-runc-v2')} -namespace k8s.io\n` +
            `${child.pid} ${shim.pid} python serve.py\n` +
            `${other.pid} 1 /usr/bin/containerd-shim-runc-v2 -namespace moby\n`,
        );
        expect(target.run(['--uninstall', '--yes']).code).toBe(0);
        expect(await Promise.all(ends)).toEqual(['SIGKILL', 'SIGKILL']);
        // Time for a third end to be noticed, were there one.
        await new Promise((resolve) => setTimeout(resolve, 200));
        expect(other.exitCode ?? other.signalCode).toBeNull();
      } finally {
        for (const process of [shim, child, other]) process.kill('SIGKILL');
      }
    });
  });
});
