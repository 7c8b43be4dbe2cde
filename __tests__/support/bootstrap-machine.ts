import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

/**
 * Runs scripts/bootstrap.sh against a machine that is a folder. Every path that the script touches lies under
 * BOOTSTRAP_ROOT. PATH holds stand-ins for the programs that would reach the real machine (curl, systemctl, ip,
 * umount, ...) and links to harmless tools, so that the script can call nothing else. The real k3s never runs here.
 */

export const SCRIPT = path.join(__dirname, '../../scripts/bootstrap.sh');
export const SOURCE = fs.readFileSync(SCRIPT, 'utf8');

const HARMLESS =
  'awk basename bash cat chmod cp cut date df dirname env grep gzip head install ls mkdir mktemp mv rm rmdir sed ' +
  'sha256sum sleep sort tail tar tr';

/** The first line of /proc/net/route. */
export const ROUTES = 'Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n';

/** What the kubelet sets below /proc/sys. */
const KUBELET_SETTINGS = {
  'vm/overcommit_memory': 1,
  'vm/panic_on_oom': 0,
  'kernel/panic': 10,
  'kernel/panic_on_oops': 1,
  'kernel/keys/root_maxkeys': 1_000_000,
  'kernel/keys/root_maxbytes': 25_000_000,
};

/** The file that was given last to `kubectl apply` of the stand-in for k3s, below a machine's root. */
export const APPLIED = 'var/lib/rancher/k3s/server/applied';

export const TOOLS = ['k3s', 'kubectl', 'k9s', 'helm'] as const;
export type Tool = (typeof TOOLS)[number];

const pinned = (name: string): string => {
  const found = new RegExp(`^${name}="(.*)"$`, 'm').exec(SOURCE);
  if (!found) throw new Error(`scripts/bootstrap.sh sets no ${name}`);
  return found[1]!;
};
export const version = (tool: Tool): string => pinned(`${tool.toUpperCase()}_VERSION`);
export const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');

interface Download {
  url: string;
  sums: string;
}
/** Addresses of each tool and of its checksum file. */
export const downloads = (arch: 'amd64' | 'arm64'): Record<Tool, Download> => {
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

/**
 * The stand-ins, by name. Those that would change a machine write their call to $CALLS. Each then does the least that
 * is needed.
 */
const STUBS: Record<string, string> = {
  uname:
    'case "$1" in -s) echo "${STUB_OS:-Linux}";; -r) echo "${STUB_RELEASE:-6.8.0-generic}";; ' +
    '*) echo "${STUB_ARCH:-x86_64}";; esac',
  id: 'case "$*" in -u) echo "${STUB_UID:-0}";; *) echo 1000;; esac',
  getent: 'echo "$2:x:1000:1000::/home/$2:${STUB_SHELL:-/bin/bash}"',
  runuser: 'echo "runuser $2" >>"$CALLS"; shift 3; "$@"',
  chown: 'echo "chown $*" >>"$CALLS"',
  df: 'printf "F B U A\\n/dev/x ${STUB_DISK_KB:-100000000} 1 ${STUB_FREE_KB:-90000000}\\n"',
  mount:
    'echo "mount $*" >>"$CALLS"; [[ -z ${STUB_NO_OVERLAY:-} ]] || { echo "mount: $STUB_NO_OVERLAY" >&2; exit 32; }',
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
  // A start of the service makes the files that k3s would make.
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

// Each run of the script starts about fifty small processes, which takes seconds on a busy machine.
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

/** Made-up releases. This k3s only says what state its node is in, and keeps the file that is applied to it. */
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

/** A machine that is a folder, with its own stand-ins and a made-up web. */
export class Machine {
  private readonly place = fs.mkdtempSync(path.join(os.tmpdir(), 'bootstrap-'));
  private readonly kept = `${this.place}.kept`;
  readonly root = path.join(this.place, 'root');
  private readonly stubs = path.join(this.place, 'stubs');
  private readonly script = path.join(this.stubs, 'scripts', 'bootstrap.sh');
  /** The definitions lie beside the script, as in a checkout. */
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
    this.write('sys/fs/cgroup/cgroup.controllers', 'cpuset cpu io memory pids\n');
    this.write('proc/net/tcp', '  sl  local_address rem_address   st\n');
    this.write('proc/net/route', `${ROUTES}eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\n`);
    this.write('proc/mounts', '');
    this.write('proc/sys/kernel/hostname', 'machine\n');
    for (const [setting, value] of Object.entries(KUBELET_SETTINGS))
      this.write(`proc/sys/${setting}`, `${value}\n`);
    this.write('dev/kmsg', '');
    this.write('etc/resolv.conf', 'nameserver 192.0.2.1\n');
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

  /** Keeps a copy of the machine as it is now, for `restore`. */
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

  /** The real path of a file of the machine. */
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
  /** Where the machine's made-up web keeps the file at an address. */
  web(url: string): string {
    return path.join('web', url.slice('https://'.length));
  }

  /**
   * Puts made-up releases on the made-up web, and writes a copy of the script that pins the checksums of these
   * releases and is otherwise unchanged.
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

  /** Makes a folder for `--offline`: each file of the made-up web, under the last part of its address. */
  folder(): string {
    const folder = path.join(this.stubs, 'usb');
    fs.mkdirSync(folder, { recursive: true });
    for (const { url, sums } of Object.values(downloads(this.arch)))
      for (const file of [url, sums])
        fs.copyFileSync(this.at(this.web(file)), path.join(folder, path.basename(file)));
    return folder;
  }

  /** Runs the script; `calls` are the calls of stand-ins that this run made. */
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

  /** Every file with the hash of its content, and every folder, without the made-up web. */
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
/** A new machine, which is removed after the test. */
export const machine = (arch?: 'amd64' | 'arm64', nodeState?: string): Machine => {
  const made = new Machine(arch, nodeState);
  machines.push(made);
  return made;
};
afterEach(() => {
  for (const made of machines.splice(0)) made.remove();
});

let withK3s: Machine | undefined;
/**
 * A machine on which the script ran once. The script ran only for the first caller; every later one gets the machine
 * as it was then. There is only one, because the files that the script wrote name the machine's folder.
 */
export const installed = (): Machine => {
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
