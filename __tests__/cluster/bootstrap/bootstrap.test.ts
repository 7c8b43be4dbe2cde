import { appendFileSync, copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { DEFINITIONS, freshDebian, Machine } from './machine';
import {
  IMAGES,
  makeInternet,
  PINNED,
  pinning,
  published,
  RELEASES,
  SHIPPED,
  stored,
  TOOLS,
  type Tool,
  version,
} from './releases';

type Options = Partial<ConstructorParameters<typeof Machine>[0]>;

let root: string;
let internet: string;
const machines: Machine[] = [];

beforeAll(() => {
  root = freshDebian();
  internet = makeInternet();
});
afterAll(() => rmSync(internet, { recursive: true, force: true }));
afterEach(() => {
  for (const machine of machines.splice(0)) machine.remove();
});

const CONFIG = '/home/ada/.kube/config';
const UNIT = '/etc/systemd/system/k3s.service';
/** Gives the machine a host name that the program `hostname` refuses, as a tool that renames machines may set it. */
const NAMED_WRONG = 'echo my_machine >/tmp/name && mount --bind /tmp/name /proc/sys/kernel/hostname';
const NO_GPU = 'Type next:\n  kubectl apply -f dist/laptop\n';

describe('bootstrap.sh on a fresh Debian', () => {
  test('normal: installs the four tools, starts k3s under systemd and says what to type next', () => {
    const machine = fresh();
    const done = machine.bootstrap();
    expect(done.err).toBe('');
    expect(done.code).toBe(0);
    expect(machine.requests()).toEqual(
      TOOLS.flatMap((tool) => [...asked(tool, 'sums'), ...asked(tool, 'url')]),
    );
    for (const tool of TOOLS) expect(machine.access(`/usr/local/bin/${tool}`)).toBe('root 755');
    expect(machine.must('kubectl; k9s; helm')).toBe(
      ['kubectl', 'k9s', 'helm'].map((tool) => `${tool} ${version(tool as Tool)} (made up)`).join('\n'),
    );
    expect(machine.must('systemctl is-active k3s; systemctl is-enabled k3s')).toBe('active\nenabled');
    expect(machine.read(UNIT)).not.toContain('nvidia');
    expect(machine.access('/etc/rancher/k3s/k3s.yaml')).toBe('root 600');
    expect(machine.access(CONFIG)).toBe('ada 600');
    expect(machine.read(CONFIG)).toBe(machine.read('/etc/rancher/k3s/k3s.yaml'));
    expect(machine.must('runuser -u ada -- bash -ic "echo \\$KUBECONFIG" 2> /dev/null')).toBe(CONFIG);
    expect(machine.access('/home/ada/.bashrc')).toBe('ada 644');
    expect(machine.read('/var/lib/rancher/k3s/server/applied')).toBe(
      machine.read(`/home/ada/${DEFINITIONS}`),
    );
    expect(done.out).toContain('GPU: none found.');
    expect(done.out.endsWith(NO_GPU)).toBe(true);
    expect(leftovers(machine)).toBe('');
  });

  test('twice: the second run finds nothing to do, changes no file and asks no host', () => {
    const machine = installed();
    const before = machine.snapshot();
    const process = machine.must('systemctl show --property=MainPID k3s');
    const done = machine.bootstrap();
    expect([done.code, done.err]).toEqual([0, '']);
    expect(done.out).toContain('Nothing to install.');
    expect(done.out.endsWith(NO_GPU)).toBe(true);
    expect(machine.requests()).toEqual([]);
    expect(machine.snapshot()).toEqual(before);
    expect(machine.must('systemctl show --property=MainPID k3s')).toBe(process);
  });

  test('dry run: prints every step without root, asks no host and changes nothing', () => {
    const machine = fresh();
    const done = unchanged(machine, () => machine.bootstrap(['--dry-run'], { how: '' }));
    expect([done.code, done.err]).toEqual([0, '']);
    for (const tool of TOOLS) {
      expect(done.out).toContain(`would download ${RELEASES[tool].url}\n`);
      expect(done.out).toContain(`would check it against ${RELEASES[tool].sums}`);
    }
    expect(done.out.endsWith(NO_GPU)).toBe(true);
  });

  test('broken off in a download: leaves nothing, and the next run does it all', () => {
    const machine = fresh();
    writeFileSync(join(machine.web, 'stalled'), RELEASES.helm.url);
    const cut = unchanged(machine, () => machine.bootstrap([], { how: 'timeout 20 sudo' }), {
      requests: true,
    });
    expect(cut.code).toBe(124);
    expect(machine.requests()).toContain(`200 ${RELEASES.helm.url}`);
    rmSync(join(machine.web, 'stalled'));
    expect(machine.bootstrap().code).toBe(0);
    expect(machine.must('ls /usr/local/bin')).toBe('helm\nk3s\nk9s\nkubectl');
  });

  test('one tool alone: --only helm', () => {
    const machine = fresh({ init: 'none' });
    expect(machine.bootstrap(['--only', 'helm']).code).toBe(0);
    expect(machine.must('ls /usr/local/bin')).toBe('helm');
    expect(machine.requests()).toEqual([...asked('helm', 'sums'), ...asked('helm', 'url')]);
  });
});

describe('a download that is not what was published', () => {
  test.each(TOOLS)('tampered file: one flipped bit in %s installs nothing', (tool) => {
    const machine = fresh();
    const before = published(machine.web, tool);
    flip(stored(machine.web, tool, 'url'));
    const done = refused(machine, 4);
    expect(done.err).toContain(`expected ${before}, got ${published(machine.web, tool)}`);
  });

  test.each(PINNED)('tampered file and checksum file: the pin of %s still stops it', (tool) => {
    const machine = fresh();
    const pin = published(machine.web, tool);
    flip(stored(machine.web, tool, 'url'));
    replace(stored(machine.web, tool, 'sums'), pin, published(machine.web, tool));
    expect(refused(machine, 4).err).toContain(`pinned in this script: expected ${pin}`);
  });

  test.each(PINNED)(
    'the pins as shipped: a made-up %s is refused, though its checksum file is right',
    (tool) => {
      const machine = fresh({ script: SHIPPED });
      expect(refused(machine, 4, ['--only', tool]).err).toContain('pinned in this script');
    },
  );

  test.each(TOOLS)('missing checksum file: %s', (tool) => {
    const machine = fresh();
    rmSync(stored(machine.web, tool, 'sums'));
    expect(refused(machine, 4).err).toContain(`could not download ${RELEASES[tool].sums}`);
  });

  test('a login page in the place of a checksum file', () => {
    const machine = fresh();
    writeFileSync(stored(machine.web, 'k9s', 'sums'), '<html>please log in</html>\n');
    expect(refused(machine, 4).err).toContain('holds no sha256 for k9s_Linux_amd64.tar.gz');
  });

  test.each(TOOLS)('404: %s', (tool) => {
    const machine = fresh();
    rmSync(stored(machine.web, tool, 'url'));
    const { err } = refused(machine, 4);
    expect(err).toContain('error: 404');
    expect(err).toContain(`could not download ${RELEASES[tool].url}`);
  });

  test('a certificate of an unknown authority', () => {
    const machine = fresh({ trusts: false });
    expect(refused(machine, 4).err).toContain('TLS certificate');
    expect(machine.requests()).toEqual([]);
  });

  test('no network', () => {
    const { err } = refused(fresh({ network: 'none' }), 4, ['--only', 'helm']);
    expect(err).toContain('no network, or no DNS');
  });
});

describe('a machine that lacks what it needs', () => {
  test('not root: says so and names sudo', () => {
    const machine = fresh();
    const done = unchanged(machine, () => machine.bootstrap([], { how: '' }));
    expect(done.code).toBe(3);
    expect(done.err).toContain('sudo scripts/bootstrap.sh');
  });

  test('no curl: names what to install', () => {
    const machine = fresh();
    machine.must('rm /usr/bin/curl');
    const { err } = refused(machine, 3);
    expect(err).toContain('missing on this machine: curl');
    expect(err).toContain('apt-get install');
  });

  test('wrong architecture: a 32-bit machine, as the kernel itself says', () => {
    const machine = fresh();
    const done = unchanged(machine, () => machine.bootstrap([], { how: 'sudo setarch i686' }));
    expect(done.code).toBe(2);
    expect(done.err).toContain('32-bit (i686)');
  });

  test('wrong architecture: one that nothing is built for', () => {
    const machine = fresh();
    calledBy(machine, 'Linux', 'riscv64');
    expect(refused(machine, 2).err).toContain("'riscv64'");
  });

  test('arm64: warned, and asked for the files of arm64', () => {
    const machine = fresh();
    calledBy(machine, 'Linux', 'aarch64');
    const done = unchanged(machine, () => machine.bootstrap(['--dry-run']));
    expect(done.code).toBe(0);
    expect(done.err).toContain('warning: this machine is aarch64');
    expect(done.out).toContain('/k3s-arm64\n');
    expect(done.out).not.toContain('amd64');
  });

  test('macOS: told the commands for k3d and for a Linux machine', () => {
    const machine = fresh();
    calledBy(machine, 'Darwin', 'arm64');
    const { err } = refused(machine, 2);
    expect(err).toMatch(/k3d cluster create mlops .* --port 80:80@loadbalancer\n/);
    expect(err).toContain('multipass launch');
  });

  test('no systemd: refused, and pointed to the client tools, which then install', () => {
    const machine = fresh({ init: 'none' });
    expect(refused(machine, 2).err).toContain('--only kubectl,k9s,helm');
    expect(machine.bootstrap(['--only', 'kubectl,k9s,helm']).code).toBe(0);
    expect(machine.must('ls /usr/local/bin')).toBe('helm\nk9s\nkubectl');
  });

  test('WSL2 without systemd: told what to write into which file', () => {
    const machine = fresh({ init: 'none' });
    machine.pretend('/proc/version', WSL2);
    const { err } = refused(machine, 2);
    expect(err).toContain('/etc/wsl.conf');
    expect(err).toContain('[boot]\nsystemd=true\n');
    expect(err).toContain('wsl --shutdown');
  });

  test('WSL2 with systemd: installs', () => {
    const machine = fresh();
    machine.pretend('/proc/version', WSL2);
    const done = machine.bootstrap();
    expect(done.code).toBe(0);
    expect(done.out).toContain('WSL2: systemd is on.');
    expect(machine.must('systemctl is-active k3s')).toBe('active');
  });

  test('a taken port: named, with the command that shows by whom', () => {
    const machine = fresh();
    machine.inNetwork(process.execPath, '-e', 'require("net").createServer().listen(10250)');
    machine.must('for i in {1..100}; do ss -ltn | grep -q :10250 && exit; sleep 0.1; done; exit 1');
    expect(refused(machine, 3).err).toContain('port 10250 is taken by another program');
  });

  test('a memory controller that is switched off', () => {
    const machine = fresh();
    machine.pretend('/sys/fs/cgroup/cgroup.controllers', 'cpuset cpu io pids\n');
    expect(refused(machine, 3).err).toContain('switched off: memory.');
  });

  test('no default route: told to make one, which then is enough', () => {
    const machine = fresh({ network: 'none' });
    const { err } = refused(machine, 3, ['--offline', '/home/ada']);
    expect(err).toContain('no default route');
    const commands = err.split('\n').filter((line) => line.startsWith('  sudo ip '));
    expect(commands).toHaveLength(4);
    // A dummy interface needs a module that this computer's kernel may lack; a bridge does not.
    machine.must(commands.join(' && ').replace('type dummy', 'type bridge'));
    const done = machine.bootstrap(['--dry-run']);
    expect([done.code, done.err]).toEqual([0, '']);
  });

  test.each([
    ['a name that no node may have', NAMED_WRONG, "is called 'my_machine'"],
    ['a kernel setting that cannot be changed', 'umount /proc/sys/kernel/panic', 'must set kernel.panic=10'],
    ['no kernel log', 'rm /dev/kmsg', 'there is no /dev/kmsg'],
    ['data on a file system without overlayfs', 'umount -l /var/lib', 'does not have it on overlay'],
    ['data where no program may run', 'mount -o remount,bind,noexec /var/lib', 'is mounted noexec'],
    [
      'a folder for programs that is read-only',
      'mount --bind /usr/local/bin /usr/local/bin && mount -o remount,bind,ro /usr/local/bin',
      'is mounted read-only',
    ],
  ])('%s: refused', (_what, command, said) => {
    const machine = fresh();
    machine.must(command);
    expect(refused(machine, 3).err).toContain(said);
  });

  test('several things at once: all are named, and nothing is changed', () => {
    const machine = fresh();
    machine.must(`${NAMED_WRONG} && rm /dev/kmsg /usr/bin/curl`);
    const done = unchanged(machine, () => machine.bootstrap());
    expect(done.code).toBe(3);
    const first = done.err.match(/^error: .{20}/gm);
    expect(first).toEqual([
      'error: missing on this mach',
      'error: this machine is call',
      'error: there is no /dev/kms',
    ]);
  });

  test('little memory and a firewall: warned, and installed all the same', () => {
    const machine = fresh();
    machine.pretend('/proc/meminfo', 'MemTotal:        2000000 kB\n');
    machine.write('/etc/ufw/ufw.conf', 'ENABLED=yes\n');
    const done = machine.bootstrap();
    expect(done.code).toBe(0);
    expect(done.err).toContain('1953 MiB of memory');
    expect(done.err).toContain('sudo ufw allow from 10.42.0.0/16 to any');
  });
});

describe('a GPU', () => {
  const card = (machine: Machine) => {
    machine.must('mount -t tmpfs tmpfs /sys/bus/pci/devices && mkdir /sys/bus/pci/devices/0000:01:00.0');
    machine.write('/sys/bus/pci/devices/0000:01:00.0/vendor', '0x10de\n');
    machine.write('/sys/bus/pci/devices/0000:01:00.0/class', '0x030200\n');
  };
  const driver = (machine: Machine) =>
    machine.program('nvidia-smi', '[ "$1" = -L ] && echo "GPU 0: Made-up (UUID: GPU-0)"');

  test('without driver: what to install is said, and the laptop comes next', () => {
    const machine = fresh();
    card(machine);
    const done = machine.bootstrap();
    expect(done.code).toBe(0);
    expect(done.err).toContain('no driver answers');
    expect(done.out.endsWith(NO_GPU)).toBe(true);
  });

  test('with driver, without toolkit: what to install is said, and the laptop comes next', () => {
    const machine = fresh();
    card(machine);
    driver(machine);
    const done = machine.bootstrap();
    expect(done.code).toBe(0);
    expect(done.err).toContain('nvidia-container-toolkit');
    expect(done.err).toContain('sudo systemctl restart k3s');
    expect(machine.read(UNIT)).not.toContain('nvidia');
    expect(done.out.endsWith(NO_GPU)).toBe(true);
  });

  test('with driver and toolkit: the whole platform comes next', () => {
    const machine = fresh();
    card(machine);
    driver(machine);
    machine.program('nvidia-container-runtime', 'exit 0');
    const done = machine.bootstrap();
    expect(done.code).toBe(0);
    expect(done.out).toContain('GPU: found, with driver and container toolkit.');
    expect(machine.read(UNIT)).not.toContain('--default-runtime');
    expect(done.out.endsWith('Type next:\n  kubectl apply -f dist\n')).toBe(true);
  });
});

describe('ways around', () => {
  const PROXY =
    'http_proxy=http://u:secret@proxy.corp.example:3128 https_proxy=http://u:secret@proxy.corp.example:3128';

  test('proxy: the downloads go through it, and k3s gets it', () => {
    const machine = fresh({ network: 'proxy' });
    const done = machine.bootstrap([], { environment: `${PROXY} no_proxy=corp.example` });
    expect([done.code, done.err]).toEqual([0, '']);
    const asked = machine.requests().filter((line) => !line.startsWith('CONNECT'));
    expect(asked).toHaveLength(14);
    expect(done.out).not.toContain('secret');
    expect(machine.access('/etc/systemd/system/k3s.service.env')).toBe('root 600');
    const given = machine.read('/var/lib/rancher/k3s/server/proxy');
    expect(given).toContain('HTTPS_PROXY=http://u:secret@proxy.corp.example:3128\n');
    expect(given).toContain(
      'NO_PROXY=corp.example,127.0.0.0/8,10.42.0.0/16,10.43.0.0/16,.svc,.cluster.local\n',
    );
  });

  test('proxy that sudo dropped: the way to keep it is said', () => {
    const machine = fresh({ network: 'proxy' });
    machine.write('/etc/environment', 'https_proxy=http://proxy.corp.example:3128\n');
    const done = machine.bootstrap();
    expect(done.code).toBe(4);
    expect(done.err).toContain('/etc/environment names a proxy');
    expect(done.err).toContain('sudo --preserve-env=');
    expect(machine.has('/usr/local/bin/k3s')).toBe(false);
  });

  test('offline folder: installs without a network, k3s with the images of its own pods', () => {
    const machine = fresh({ network: 'nowhere' });
    carry(machine);
    machine.write(`/home/ada/usb/${IMAGES}`, 'images\n');
    const done = machine.bootstrap(['--offline', '~/usb']);
    expect([done.code, done.err]).toEqual([0, '']);
    expect(machine.must('systemctl is-active k3s')).toBe('active');
    expect(machine.read(`/var/lib/rancher/k3s/agent/images/${IMAGES}`)).toBe('images\n');
    expect(done.out.endsWith(NO_GPU)).toBe(true);
  });

  test('offline folder: the command of docs/bootstrap.md fetches all that it holds', () => {
    const [, command] = /^(scripts\/bootstrap\.sh --dry-run \| .*)$/m.exec(
      readFileSync(join(__dirname, '../../../docs/bootstrap.md'), 'utf8'),
    )!;
    const machine = fresh({ init: 'none' });
    machine.must(
      `mkdir /home/ada/there && cd /home/ada/there && ln -s ../mlops-lifecycle/scripts && ${command}`,
    );
    carry(machine);
    expect(machine.must('cd /home/ada && rm usb/.keep there/scripts && diff -r usb there')).toBe('');
  });

  test('offline folder with a tampered archive of images', () => {
    const machine = fresh({ network: 'nowhere' });
    carry(machine);
    machine.write(`/home/ada/usb/${IMAGES}`, 'other images\n');
    expect(refused(machine, 4, ['--offline', '~/usb']).err).toContain(`${IMAGES} does not match`);
  });

  test.each(TOOLS)('offline folder with a tampered %s', (tool) => {
    const machine = fresh({ network: 'nowhere' });
    carry(machine);
    appendFileSync(inFolder(machine, tool, 'url'), 'x');
    expect(refused(machine, 4, ['--offline', '~/usb']).err).toContain(
      'does not match its published checksum',
    );
  });

  test('offline folder without a checksum file', () => {
    const machine = fresh({ network: 'nowhere' });
    carry(machine);
    rmSync(inFolder(machine, 'helm', 'sums'));
    expect(refused(machine, 4, ['--offline', '~/usb']).err).toContain('.sha256sum is missing');
  });

  test('--kubeconfig-mode 644, and back again', () => {
    const machine = installed();
    const open = machine.bootstrap(['--kubeconfig-mode', '644']);
    expect(open.code).toBe(0);
    expect(open.err).toContain('every user of this machine can read');
    expect(machine.access('/etc/rancher/k3s/k3s.yaml')).toBe('root 644');
    expect(machine.access(CONFIG)).toBe('ada 600');
    expect(machine.bootstrap().code).toBe(0);
    expect(machine.access('/etc/rancher/k3s/k3s.yaml')).toBe('root 600');
  });

  test('a kubeconfig of other clusters: untouched, and no profile speaks for the new one', () => {
    const machine = fresh();
    machine.write(CONFIG, 'work clusters');
    const done = machine.bootstrap();
    expect(done.code).toBe(0);
    expect(machine.read(CONFIG)).toBe('work clusters');
    expect(machine.access('/home/ada/.kube/mlops-lifecycle')).toBe('ada 600');
    expect(machine.read('/home/ada/.bashrc')).not.toContain('KUBECONFIG');
    expect(done.out).toContain('  export KUBECONFIG=/home/ada/.kube/mlops-lifecycle\n');
  });
});

describe('uninstall', () => {
  test('asks first, and without a yes removes nothing', () => {
    const machine = installed();
    const done = unchanged(machine, () => machine.bootstrap(['--uninstall'], { input: 'no\n' }));
    expect(done.code).toBe(6);
    expect(machine.must('systemctl is-active k3s')).toBe('active');
  });

  test('after a yes leaves the machine as it was: files, service, container, volume, network', () => {
    const machine = fresh();
    machine.must('iptables -A INPUT -s 198.51.100.1 -j DROP');
    const seen = () => [
      ...machine.snapshot(),
      machine.must(
        'ip -o link | sed "s/ .*//"; iptables-save | grep -v "^#\\|^:"; grep -c . /proc/mounts; ls /var/log',
      ),
    ];
    const before = seen();
    expect(machine.bootstrap().code).toBe(0);
    expect(machine.must('pgrep -c containerd-shim')).toBe('1');
    const done = machine.bootstrap(['--uninstall'], { input: 'yes\n' });
    expect([done.code, done.err]).toEqual([0, '']);
    expect(seen()).toEqual(before);
    expect(machine.try('pgrep containerd-shim').code).toBe(1);
    expect(machine.try('systemctl cat k3s').code).not.toBe(0);
    expect(machine.must('systemctl is-system-running')).toBe('running');
    const again = machine.bootstrap(['--uninstall', '--yes']);
    expect(again.out).toContain('Nothing to remove');
  });

  test('leaves what somebody changed or brought, and a profile its other lines', () => {
    const machine = fresh();
    machine.must('echo mine > /usr/local/bin/other; printf "alias k=kubectl" >> /home/ada/.bashrc');
    const profile = machine.read('/home/ada/.bashrc');
    expect(machine.bootstrap().code).toBe(0);
    machine.must('echo theirs > /usr/local/bin/k9s; echo "# mine" >> /home/ada/.kube/config');
    const done = machine.bootstrap(['--uninstall', '--yes']);
    expect(done.code).toBe(0);
    expect(done.err).toContain('/usr/local/bin/k9s was changed since');
    expect(machine.must('ls /usr/local/bin')).toBe('k9s\nother');
    expect(machine.read(CONFIG)).toContain('# mine');
    expect(machine.read('/home/ada/.bashrc')).toBe(`${profile}\n`);
  });
});

const WSL2 = 'Linux version 5.15.167.4-microsoft-standard-WSL2 (root@machine) #1 SMP\n';

function fresh(options: Options = {}): Machine {
  const machine = new Machine({ root, internet, script: pinning(internet), ...options });
  machines.push(machine);
  return machine;
}

/** A machine on which bootstrap.sh ran. */
function installed(): Machine {
  const machine = fresh();
  expect(machine.bootstrap().code).toBe(0);
  machine.requests();
  return machine;
}

/** Runs bootstrap.sh, and checks that it ended with this code, changed no file and printed one error. */
function refused(machine: Machine, code: number, args: string[] = []) {
  const done = unchanged(machine, () => machine.bootstrap(args), { requests: code === 4 });
  expect(done.code).toBe(code);
  expect(done.err.match(/^error: /gm)).toHaveLength(1);
  expect(done.out).not.toContain('Type next');
  return done;
}

/** Runs an action, and checks that no file changed and, unless they are allowed, that no host was asked. */
function unchanged<T>(machine: Machine, action: () => T, may: { requests?: boolean } = {}): T {
  const before = machine.snapshot();
  const result = action();
  expect(machine.snapshot()).toEqual(before);
  if (!may.requests) expect(machine.requests()).toEqual([]);
  return result;
}

/** The requests that the internet sees for this file, with the redirect. */
function asked(tool: Tool, what: 'url' | 'sums'): string[] {
  const { [what]: url, store } = RELEASES[tool];
  const { host, pathname } = new URL(url);
  const there = `200 https://${store}${pathname}`;
  return host === store ? [there] : [`302 ${url}`, there];
}

/** Temporary files that bootstrap.sh left. */
const leftovers = (machine: Machine): string =>
  machine.must('find /tmp /usr/local /etc/systemd /home -name "*mlops-lifecycle.*" -o -name "*.new"');

/** Makes `uname` answer with another system and architecture. */
function calledBy(machine: Machine, system: string, architecture: string): void {
  machine.program(
    'uname',
    `case "$1" in -s) echo ${system} ;; -m) echo ${architecture} ;; *) cat /proc/sys/kernel/osrelease ;; esac`,
  );
}

/** Copies every file of the internet into a folder of ada's, as a person would on another machine. */
function carry(machine: Machine): void {
  machine.write('/home/ada/usb/.keep', '');
  for (const tool of TOOLS)
    for (const what of ['url', 'sums'] as const)
      copyFileSync(stored(machine.web, tool, what), inFolder(machine, tool, what));
}
const inFolder = (machine: Machine, tool: Tool, what: 'url' | 'sums'): string =>
  machine.outside(join('/home/ada/usb', basename(stored(machine.web, tool, what))));

/** Flips a bit in the middle of a file. */
function flip(file: string): void {
  const data = readFileSync(file);
  data[data.length >> 1]! ^= 1;
  writeFileSync(file, data);
}
function replace(file: string, old: string, now: string): void {
  const text = readFileSync(file, 'utf8');
  expect(text).toContain(old);
  writeFileSync(file, text.replace(old, now));
}
