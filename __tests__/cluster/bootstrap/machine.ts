import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const SCRIPTS = join(__dirname, '../../../scripts/bootstrap');
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const SCRIPT = 'mlops-lifecycle/scripts/bootstrap.sh';
export const DEFINITIONS = 'mlops-lifecycle/dist/00-crds.yaml';

/** How a run of bootstrap.sh ended. */
interface Run {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

interface MachineProps {
  /** The folder with a fresh Debian in it. */
  readonly root: string;
  /** Folder of the made-up internet: tls.key, tls.crt, ca.crt and web/HOST/PATH. The machine gets a copy. */
  readonly internet: string;
  /** The text of bootstrap.sh. */
  readonly script: string;
  /**
   * The program of process 1.
   * @default 'systemd'
   */
  readonly init?: 'systemd' | 'none';
  /**
   * How the machine reaches the internet: by name, by a proxy alone, or not at all. It has a default route in all cases
   * but the last; that of `nowhere` leads to no machine.
   * @default 'direct'
   */
  readonly network?: 'direct' | 'proxy' | 'nowhere' | 'none';
  /**
   * Whether it trusts the authority that signed for the internet's hosts.
   * @default true
   */
  readonly trusts?: boolean;
}

/** A fresh Debian in namespaces of its own, and a made-up internet that answers in the place of the real hosts. */
export class Machine {
  private static count = 0;
  /** The internet's folder; a test changes what is served in it. */
  readonly web = mkdtempSync(join(tmpdir(), 'bootstrap-internet-'));
  private readonly name = `bootstrap-${process.pid}-${(Machine.count += 1)}`;
  private readonly processes: ChildProcess[] = [];
  private readonly pid: string;
  private seen = 0;

  constructor(props: MachineProps) {
    const { root, internet, script, init = 'systemd', network = 'direct', trusts = true } = props;
    cpSync(internet, this.web, { recursive: true });
    try {
      this.pid = this.start(root, init);
      // The same memory on every computer, in kB; a test of a machine with little memory sets its own.
      this.pretend('/proc/meminfo', 'MemTotal:       16000000 kB\n');
      // The same controllers on every computer, whichever version of cgroups it uses.
      if (init === 'systemd')
        this.pretend('/sys/fs/cgroup/cgroup.controllers', 'cpuset cpu io memory pids\n');
      if (network === 'nowhere') this.must(NOWHERE);
      else if (network !== 'none') this.connect(network);
      if (trusts) {
        const bundle = '/etc/ssl/certs/ca-certificates.crt';
        this.write(bundle, this.read(bundle) + readFileSync(join(this.web, 'ca.crt'), 'utf8'));
      }
      this.write(`/home/ada/${SCRIPT}`, script);
      this.write(`/home/ada/${DEFINITIONS}`, 'kind: CustomResourceDefinition\n');
      this.must(`chmod 755 /home/ada/${SCRIPT}; chown -R ada: /home/ada`);
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  /** Ends every process of the machine; its files and interfaces go with them. */
  remove(): void {
    for (const child of this.processes) child.kill('SIGKILL');
    // The cgroup of a process that was killed is busy for a moment.
    const emptied = spawnSync('unshare', [
      '--mount',
      'bash',
      '-c',
      `mount --make-rprivate / && mount -t cgroup2 cgroup2 /mnt
       for i in {1..100}; do
         [ -d /mnt/${this.name} ] || exit 0
         find /mnt/${this.name} -depth -type d -exec rmdir {} + 2> /dev/null && exit 0
         sleep 0.05
       done
       exit 1`,
    ]);
    rmSync(this.web, { recursive: true, force: true });
    if (emptied.status !== 0) throw new Error(`the cgroup ${this.name} could not be removed`);
  }

  /** Runs bootstrap.sh as ada does: `sudo scripts/bootstrap.sh ARGS`. */
  bootstrap(args: string[] = [], options: { input?: string; environment?: string; how?: string } = {}): Run {
    const { input = '', environment = '', how = 'sudo' } = options;
    const kept = 'http_proxy,https_proxy,no_proxy';
    const command = `${environment} ${how === 'sudo' ? `sudo --preserve-env=${kept}` : how} ~/${SCRIPT} ${args.join(' ')}`;
    return this.run(['runuser', '-u', 'ada', '--', 'bash', '-c', command], input);
  }

  /** Runs a line of shell as root and says how it ended. */
  try(command: string): Run {
    return this.run(['bash', '-c', command]);
  }

  /**
   * Runs a line of shell as root.
   * @returns what it printed, without the last line's end
   * @throws when it fails
   */
  must(command: string): string {
    const { code, out, err } = this.try(command);
    if (code !== 0) throw new Error(`'${command}' ended with ${code}: ${err}`);
    return out.trimEnd();
  }

  /** A process beside the machine's own, in its network alone; it ends with the machine. */
  inNetwork(...command: string[]): void {
    this.processes.push(spawn('nsenter', ['--target', this.pid, '--net', ...command], { stdio: 'ignore' }));
  }

  read(path: string): string {
    return readFileSync(this.outside(path), 'utf8');
  }
  has(path: string): boolean {
    return existsSync(this.outside(path));
  }
  write(path: string, text: string, mode = 0o644): void {
    mkdirSync(dirname(this.outside(path)), { recursive: true });
    writeFileSync(this.outside(path), text, { mode });
  }
  /** Installs a bash script as a program in /usr/bin. */
  program(name: string, body: string): void {
    this.write(`/usr/bin/${name}`, `#!/bin/bash\n${body}\n`, 0o755);
    this.must(`chmod 755 /usr/bin/${name}`);
  }
  /** Replaces the text of one of the kernel's files, as the machine sees it. */
  pretend(path: string, text: string): void {
    const file = `/run/pretended${path}`;
    this.write(file, text);
    this.must(`mount --bind ${file} ${path}`);
  }
  /** Owner and mode of a file, as in `root 600`. */
  access(path: string): string {
    return this.must(`stat -c '%U %a' ${path}`);
  }

  /** Every file, folder and link that an installer could have made, with owner, mode and content. */
  snapshot(): string[] {
    const folders = '/etc /home /root /opt /srv /tmp /usr /var/lib -xdev -path /var/lib/systemd -prune -o';
    return this.must(
      `find ${folders} -printf '%p %y %M %u %l\\n'
       find /etc /home /root /usr/local /var/lib/mlops-lifecycle -type f -exec sha256sum {} + 2> /dev/null || true`,
    )
      .split('\n')
      .sort();
  }

  /** The requests to the internet since the last call, in order, each with the status of its answer. */
  requests(): string[] {
    const all = this.log();
    const fresh = all.slice(this.seen);
    this.seen = all.length;
    return fresh.filter((line) => line !== 'ready');
  }

  private start(root: string, init: string): string {
    const namespaces = ['--net', '--mount', '--pid', '--ipc', '--uts', '--fork', '--kill-child'];
    const made = spawn('unshare', [...namespaces, join(SCRIPTS, 'machine.sh'), root, this.name, init], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    this.processes.push(made);
    const children = `/proc/${made.pid}/task/${made.pid}/children`;
    const pid = until(() => existsSync(children) && readFileSync(children, 'utf8').trim());
    until(() => existsSync(`/proc/${pid}/root/run/machine-is-made`));
    if (init === 'systemd') {
      until(() => existsSync(`/proc/${pid}/root/run/systemd/private`));
      const state = this.enter(pid, ['systemctl', 'is-system-running', '--wait']).stdout.trim();
      if (state !== 'running') throw new Error(`the machine's systemd is '${state}'`);
    }
    return pid;
  }

  /** A cable between the machine and a server in a network namespace of its own. */
  private connect(network: 'direct' | 'proxy'): void {
    const server = spawn(
      'unshare',
      ['--net', '--kill-child', '--fork', process.execPath, join(__dirname, 'internet.js'), this.web],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    this.processes.push(server);
    const children = `/proc/${server.pid}/task/${server.pid}/children`;
    const there = until(() => existsSync(children) && readFileSync(children, 'utf8').trim());
    until(() => this.log().includes('ready'));
    const ip = (pid: string, ...args: string[]) =>
      execFileSync('nsenter', ['--target', pid, '--net', 'ip', ...args]);
    execFileSync('ip', `link add lan netns ${this.pid} type veth peer name lan netns ${there}`.split(' '));
    for (const [pid, address] of [
      [this.pid, '192.0.2.2/24'],
      [there, '192.0.2.1/24'],
    ] as const) {
      ip(pid, 'address', 'add', address, 'dev', 'lan');
      ip(pid, 'link', 'set', 'lan', 'up');
    }
    ip(this.pid, 'route', 'add', 'default', 'via', '192.0.2.1');
    ip(there, 'link', 'set', 'lo', 'up');
    const hosts = network === 'direct' ? HOSTS.join(' ') : 'proxy.corp.example';
    this.write('/etc/hosts', `${this.read('/etc/hosts')}192.0.2.1 ${hosts}\n`);
  }

  private log(): string[] {
    const file = join(this.web, 'requests');
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
  }

  /** The path by which this computer sees a file of the machine. */
  outside(path: string): string {
    return `/proc/${this.pid}/root${path}`;
  }

  private run(command: string[], input = ''): Run {
    const { status, stdout, stderr } = this.enter(this.pid, command, input);
    return { code: status, out: stdout, err: stderr };
  }

  private enter(pid: string, command: string[], input = '') {
    const namespaces = ['--mount', '--net', '--pid', '--ipc', '--uts', '--cgroup'];
    const clean = ['env', '-i', '-C', '/root', `PATH=${PATH}`, 'HOME=/root', 'LC_ALL=C.UTF-8'];
    return spawnSync('nsenter', ['--target', pid, ...namespaces, '--', ...clean, ...command], {
      encoding: 'utf8',
      input,
      maxBuffer: 64 * 2 ** 20,
      timeout: 120_000,
    });
  }
}

/** Gives the machine a default route that leads nowhere. */
const NOWHERE =
  'ip link add lan type bridge && ip link set lan up && ip address add 203.0.113.254/31 dev lan && ' +
  'ip route add default via 203.0.113.255 dev lan';

/** Every host that bootstrap.sh asks, and those it is sent on to. */
export const HOSTS = [
  'github.com',
  'release-assets.githubusercontent.com',
  'dl.k8s.io',
  'cdn.dl.k8s.io',
  'get.helm.sh',
];

/** Folder of the fresh Debian from which machines start. The first call builds it. */
export function freshDebian(): string {
  return execFileSync(join(SCRIPTS, 'root.sh'), {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  }).trim();
}

/** Looks every 50 ms until there is something. @throws Error after 30 seconds */
function until<T>(look: () => T): Exclude<T, false | ''> {
  const end = performance.now() + 30_000;
  for (;;) {
    const seen = look();
    if (seen) return seen as Exclude<T, false | ''>;
    if (performance.now() > end) throw new Error(`timed out: ${look.toString()}`);
    spawnSync('sleep', ['0.05']);
  }
}
