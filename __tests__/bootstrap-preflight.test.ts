/** What scripts/bootstrap.sh says of a machine before it changes it: each fault that k3s has at its start, one input. */
import * as fs from 'node:fs';
import { gzipSync } from 'node:zlib';
import { installed, machine, type Machine, ROUTES, SOURCE } from './support/bootstrap-machine';

/** A machine, what is done to it, and what the script says then. */
type Case = readonly [
  what: string,
  prepare: (target: Machine) => void,
  said: string | readonly string[],
  env?: Record<string, string>,
];

const write =
  (file: string, text: string | Buffer) =>
  (target: Machine): void =>
    target.write(file, text);
const remove =
  (file: string) =>
  (target: Machine): void =>
    fs.rmSync(target.at(file), { recursive: true });
const listens = (table: string, hex: string, state = '0A') =>
  write(`proc/net/${table}`, `  sl\n   0: 00000000:${hex} 00000000:0000 ${state} 0 0 0\n`);
const route = (...lines: string[]) =>
  write('proc/net/route', ROUTES + lines.map((line) => `${line}\n`).join(''));
const DEFAULT = 'eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000';
const ZERO = '0'.repeat(32);
/** The default route that the kernel has of its own, by which no packet leaves. */
const UNREACHABLE = `${ZERO} 00 ${ZERO} 00 ${ZERO} ffffffff 00000001 00000000 00200200 lo\n`;
const wanted = (unit: string) => write(`etc/systemd/system/multi-user.target.wants/${unit}`, '');
const mounts =
  (...lines: (readonly [path: string, type: string, options: string])[]) =>
  (target: Machine): void =>
    target.write(
      'proc/mounts',
      [
        '/dev/a / ext4 rw 0 0',
        ...lines.map(([path, type, options]) => `x ${target.at(path)} ${type} ${options} 0 0`),
      ]
        .map((line) => `${line}\n`)
        .join(''),
    );

const RELEASE = '6.8.0-generic';
const MODULES = `lib/modules/${RELEASE}/modules`;
const PARTS = /^readonly KERNEL_PARTS="([^"]+)"/m
  .exec(SOURCE)![1]!
  .split(/\s+/)
  .map((part) => part.split(':')[0]!);
/** The configuration of a kernel that has everything: as a module where it is one of `modules`, else built in. */
const config = (modules: readonly string[] = [], without: readonly string[] = []): string =>
  PARTS.flatMap((part) => part.split('/').slice(0, 1))
    .map((option) =>
      without.includes(option)
        ? `# CONFIG_${option} is not set\n`
        : `CONFIG_${option}=${modules.includes(option) ? 'm' : 'y'}\n`,
    )
    .join('');

const REFUSED: Record<string, readonly Case[]> = {
  'a port that is taken': [
    ['the API server’s', listens('tcp', '192B'), ['port 6443 is taken', "'sport = :6443'"]],
    ['the kubelet’s', listens('tcp6', '280A'), ['port 10250 is taken', "'sport = :10250'"]],
    ['the pods’ network’s', listens('udp', '2118', '07'), ['port 8472 (UDP) is taken', 'sudo ss -lunp']],
    ['the same in IPv6', listens('udp6', '2118', '07'), 'port 8472 (UDP) is taken'],
  ],
  'a name that Kubernetes refuses': [
    ['with an underscore', write('proc/sys/kernel/hostname', 'my_machine\n'), "is called 'my_machine'"],
    ['with a hyphen at its end', write('proc/sys/kernel/hostname', 'machine-\n'), "'machine-'"],
    ['with an empty label', write('proc/sys/kernel/hostname', 'a..b\n'), "'a..b'"],
    ['that is no name', write('proc/sys/kernel/hostname', '(none)\n'), "'(none)'"],
    ['in another alphabet', write('proc/sys/kernel/hostname', 'größe\n'), "'größe'"],
    ['of 64 letters', write('proc/sys/kernel/hostname', `${'a'.repeat(64)}\n`), 'at most 63'],
  ],
  'no default route': [
    ['none', route(), ['has no default route', '  sudo ip route add default via 203.0.113.255 dev dummy0']],
    [
      'one to the own network alone',
      route('eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF'),
      'no default route',
    ],
    [
      'the kernel’s own of IPv6 alone',
      (target) => {
        route()(target);
        target.write('proc/net/ipv6_route', UNREACHABLE);
      },
      'no default route',
    ],
  ],
  'no cgroup controller': [
    [
      'memory, version 2',
      write('sys/fs/cgroup/cgroup.controllers', 'cpuset cpu io pids\n'),
      ['switched off: memory.', 'cgroup_enable=memory'],
    ],
    [
      'cpuset and pids, version 2',
      write('sys/fs/cgroup/cgroup.controllers', 'cpu memory\n'),
      'off: cpuset pids.',
    ],
    [
      'none given to a container',
      write('sys/fs/cgroup/cgroup.controllers', ''),
      'off: cpu cpuset memory pids.',
    ],
    [
      'memory, version 1',
      (target) => {
        remove('sys/fs/cgroup')(target);
        target.write('proc/self/cgroup', '12:pids:/\n4:cpuset:/\n3:cpu,cpuacct:/\n1:name=systemd:/\n0::/\n');
      },
      'switched off: memory.',
    ],
    ['no cgroups at all', remove('sys/fs/cgroup'), 'no cgroups here'],
    [
      'version 2 on a kernel that cannot use it',
      () => undefined,
      'the kernel 4.14 is older than 4.15',
      { STUB_RELEASE: '4.14.336-generic' },
    ],
  ],
  'a kernel that lacks a part': [
    ['vxlan, in /proc', write('proc/config.gz', gzipSync(config([], ['VXLAN']))), 'k3s needs: CONFIG_VXLAN.'],
    [
      'overlayfs and br_netfilter, in /boot',
      write(`boot/config-${RELEASE}`, config([], ['OVERLAY_FS', 'BRIDGE_NETFILTER'])),
      'needs: CONFIG_OVERLAY_FS CONFIG_BRIDGE_NETFILTER.',
    ],
    [
      'iptables in both forms, in /lib/modules',
      write(`lib/modules/${RELEASE}/config`, config([], ['IP_NF_NAT'])),
      'CONFIG_IP_NF_NAT/NFT_COMPAT',
    ],
    [
      'the file of the module vxlan, which has a package of its own',
      (target) => {
        target.write(`boot/config-${RELEASE}`, config(['VXLAN', 'OVERLAY_FS']));
        target.write(`${MODULES}.dep`, 'kernel/fs/overlayfs/overlay.ko.zst:\n');
      },
      ['has no module vxlan,', 'linux-modules-extra-raspi', 'kernel-modules-extra'],
    ],
    [
      'all files of its modules, because a newer kernel was installed',
      (target) => {
        target.write('proc/config.gz', gzipSync(config(['VXLAN', 'VETH'])));
        target.write('lib/modules/6.9.0-generic/modules.dep', 'kernel/drivers/net/vxlan/vxlan.ko:\n');
      },
      ['no module vxlan veth,', 'After an update of the kernel: reboot.'],
    ],
  ],
  'what the kubelet ends with': [
    ['no log of the kernel', remove('dev/kmsg'), ['there is no /dev/kmsg', 'lxc.mount.entry']],
    [
      'kernel settings that are read-only and other than it wants',
      (target) => {
        target.write('proc/sys/kernel/panic_on_oops', '0\n');
        target.write('proc/sys/vm/overcommit_memory', '0\n');
        mounts(['proc/sys', 'proc', 'ro,nosuid'])(target);
      },
      [
        'must set vm.overcommit_memory=1 kernel.panic_on_oops=1 and cannot',
        'sudo sysctl -w vm.overcommit_memory=1',
      ],
    ],
    ['a kernel setting that is missing', remove('proc/sys/kernel/keys'), 'kernel.keys.root_maxkeys=1000000'],
  ],
  'a security module without its parts': [
    [
      'AppArmor without apparmor_parser',
      write('sys/module/apparmor/parameters/enabled', 'Y\n'),
      ['apparmor_parser is missing', 'sudo apt-get install apparmor'],
    ],
    [
      'SELinux without the policy for k3s',
      (target) => target.stub('getenforce', 'echo Enforcing'),
      ['SELinux is enforcing', 'k3s-selinux'],
    ],
  ],
  'a service in the way': [
    [
      'an iptables that multiplies rules',
      (target) => target.stub('iptables', 'echo "iptables v1.8.2 (nf_tables)"'),
      ['iptables v1.8.2', 'iptables-legacy'],
    ],
    [
      'another Kubernetes',
      wanted('kubelet.service'),
      ['kubelet.service', 'sudo systemctl disable --now kubelet.service'],
    ],
    ['MicroK8s', wanted('snap.microk8s.daemon-kubelite.service'), 'snap.microk8s.daemon-kubelite.service'],
    ['an agent of another k3s', wanted('k3s-agent.service'), 'k3s-agent.service'],
    [
      'nm-cloud-setup on RHEL 8.3',
      (target) => {
        target.write(
          'etc/os-release',
          'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="8.3"\n',
        );
        target.write('etc/systemd/system/timers.target.wants/nm-cloud-setup.timer', '');
      },
      ['nm-cloud-setup is on and takes the network', 'systemctl disable nm-cloud-setup.service'],
    ],
  ],
  'a disk that does not do': [
    ['data on NFS', mounts(['var/lib', 'nfs4', 'rw']), ['does not have it on nfs4', 'ext4 or xfs']],
    ['data on an overlay, as in a container', mounts(['', 'overlay', 'rw']), 'does not have it on overlay'],
    [
      'data on an XFS of old',
      (target) => {
        target.stub('xfs_info', 'echo "naming =version 2 bsize=4096 ascii-ci=0, ftype=0"');
        mounts(['var', 'xfs', 'rw'])(target);
      },
      'made with ftype=0',
    ],
    ['data on FUSE', mounts(['var', 'fuse.mergerfs', 'rw']), 'on fuse.mergerfs'],
    [
      'data where overlayfs does not mount',
      mounts(['var/lib', 'zfs', 'rw']),
      'mounting one failed (mount: wrong fs type)',
      { STUB_NO_OVERLAY: 'wrong fs type' },
    ],
    ['data where no program may run', mounts(['var', 'ext4', 'rw,nosuid,noexec']), 'is mounted noexec'],
    [
      'programs where none may be written',
      (target) => {
        target.write('usr/local/bin/other', '');
        mounts(['usr', 'squashfs', 'ro'])(target);
      },
      'usr/local/bin is on a file system that is mounted read-only',
    ],
    ['no room at all', () => undefined, '900 MB free', { STUB_FREE_KB: '900000' }],
    [
      'so little room that the node takes no pods',
      () => undefined,
      ['less than 5% of the disk', '90 GB'],
      { STUB_DISK_KB: '2000000000' },
    ],
  ],
  'a clock': [
    [
      'that stands at the beginning',
      (target) => target.stub('date', 'case "$1" in +%s) echo 4711 ;; *) echo "Thu Jan  1" ;; esac'),
      ['the clock says Thu Jan  1', 'timedatectl set-ntp'],
    ],
  ],
};

const WARNED: readonly Case[] = [
  [
    'disk and memory are short',
    write('proc/meminfo', 'MemTotal:        4000000 kB\n'),
    ['10 GB free', '3906 MiB of memory'],
    { STUB_FREE_KB: '10000000' },
  ],
  ['there is one core', write('proc/cpuinfo', 'processor\t: 0\nmodel name\t: A\n'), 'one processor core'],
  ['a web port is taken, which k3s survives', listens('tcp6', '0050'), 'port 80 is taken'],
  [
    'the port of node-exporter is taken',
    listens('tcp', '238C'),
    ['port 9100 is taken', 'NodeExporter.own({ port: 9101 })', 'NodeExporter.none()'],
  ],
  [
    'firewalld is on, with the commands that let pods through',
    (target) => target.stub('firewall-cmd', 'true'),
    ['firewalld is on', 'sudo firewall-cmd --reload'],
  ],
  [
    'ufw is on, with the commands that let pods through',
    write('etc/ufw/ufw.conf', 'ENABLED=yes\n'),
    ['ufw is on', 'sudo ufw allow from 10.43.0.0/16'],
  ],
  [
    'there is IPv6 alone',
    (target) => {
      route()(target);
      target.write(
        'proc/net/ipv6_route',
        `${UNREACHABLE}${ZERO} 00 ${ZERO} 00 fe800000000000000000000000000001 00000400 00000003 00000000 00000003 eth0\n`,
      );
    },
    'IPv6 alone',
  ],
  [
    'a route of the machine lies where pods will be',
    route(DEFAULT, 'tun0\t00002A0A\t00000000\t0001\t0\t0\t0\t0000FFFF'),
    'into 10.42.0.0/16',
  ],
  ['no name server is one that pods reach', write('etc/resolv.conf', 'nameserver 127.0.0.1\n'), '8.8.8.8'],
  [
    'one of two is not',
    write('etc/resolv.conf', 'nameserver 192.0.2.1\nnameserver fe80::1%eth0\n'),
    '8.8.8.8',
  ],
  ['there is no name server', write('etc/resolv.conf', 'search corp.example\n'), '8.8.8.8'],
  [
    'few files may be watched',
    write('proc/sys/fs/inotify/max_user_instances', '64\n'),
    'max_user_instances=512',
  ],
  [
    'iptables may have the fault that multiplies rules',
    (target) => target.stub('iptables', 'echo "iptables v1.8.4 (nf_tables)"'),
    'iptables v1.8.4',
  ],
  ['nm-cloud-setup is on', wanted('nm-cloud-setup.service'), 'nm-cloud-setup is on'],
  ['a configuration of k3s is there', write('etc/rancher/k3s/config.yaml', 'server: x\n'), 'k3s goes by it'],
  [
    'the data of an earlier cluster is there',
    write('var/lib/rancher/k3s/server/db/state.db', ''),
    'the data of an earlier cluster',
  ],
];

const ACCEPTED: readonly (readonly [what: string, prepare: Case[1]])[] = [
  ['as it should be', () => undefined],
  ['whose program is connected from such a port', listens('tcp', '192B', '01')],
  ['whose program has a UDP port with the number of a TCP port', listens('udp', '192B', '07')],
  [
    'on which an earlier k3s left its interface',
    (target) => {
      listens('udp', '2118', '07')(target);
      target.write('sys/class/net/flannel.1/mtu', '1450\n');
    },
  ],
  [
    'with a name in upper case and of several labels',
    write('proc/sys/kernel/hostname', 'Machine-1.Example.COM\n'),
  ],
  ['with a name of 63 letters', write('proc/sys/kernel/hostname', `${'a'.repeat(63)}\n`)],
  [
    'with version 1 of cgroups',
    (target) => {
      remove('sys/fs/cgroup')(target);
      target.write('proc/self/cgroup', '5:memory:/\n12:pids:/\n4:cpuset:/\n3:cpuacct,cpu:/\n0::/\n');
    },
  ],
  ['with a kernel that has all parts built in', write('proc/config.gz', gzipSync(config()))],
  [
    'with modules as files, built in, or loaded',
    (target) => {
      target.write(`boot/config-${RELEASE}`, config(['VXLAN', 'OVERLAY_FS', 'BRIDGE_NETFILTER', 'SECCOMP']));
      target.write(
        `${MODULES}.dep`,
        'kernel/drivers/net/vxlan/vxlan.ko.xz: kernel/net/ipv4/udp_tunnel.ko.xz\n',
      );
      target.write(`${MODULES}.builtin`, 'kernel/fs/overlayfs/overlay.ko\n');
      target.write('sys/module/br_netfilter/refcnt', '0\n');
    },
  ],
  [
    'that is a container and has no list of modules',
    write(`boot/config-${RELEASE}`, config(['VXLAN', 'OVERLAY_FS'])),
  ],
  [
    'with the newer form of iptables alone',
    write(`boot/config-${RELEASE}`, `${config([], ['IP_NF_NAT', 'IP_NF_FILTER'])}CONFIG_NFT_COMPAT=y\n`),
  ],
  ['with read-only settings that are as the kubelet wants them', mounts(['proc/sys', 'proc', 'ro'])],
  [
    'with AppArmor and its parser',
    (target) => {
      target.write('sys/module/apparmor/parameters/enabled', 'Y\n');
      target.write('usr/sbin/apparmor_parser', '');
    },
  ],
  ['with AppArmor switched off', write('sys/module/apparmor/parameters/enabled', 'N\n')],
  ['with SELinux that only warns', (target) => target.stub('getenforce', 'echo Permissive')],
  ['with an older form of iptables', (target) => target.stub('iptables', 'echo "iptables v1.8.2 (legacy)"')],
  ['with a newer iptables', (target) => target.stub('iptables', 'echo "iptables v1.8.10 (nf_tables)"')],
  [
    'with data on a disk of its own below a folder that does not do',
    (target) => {
      target.write('var/lib/rancher/.keep', '');
      mounts(['var/lib', 'nfs4', 'ro,noexec'], ['var/lib/rancher', 'ext4', 'rw'])(target);
    },
  ],
  [
    'with data on XFS',
    (target) => {
      target.stub('xfs_info', 'echo "naming =version 2 bsize=4096 ascii-ci=0, ftype=1"');
      mounts(['var', 'xfs', 'rw'])(target);
    },
  ],
  ['with another service', wanted('kubelet-exporter.service')],
  [
    'whose resolver listens on itself, and says where it asks',
    (target) => {
      target.write('etc/resolv.conf', 'nameserver 127.0.0.53\n');
      target.write('run/systemd/resolve/resolv.conf', 'nameserver 192.0.2.1\nnameserver 2001:db8::1\n');
    },
  ],
  [
    'with a firewall that is off',
    (target) => {
      target.stub('firewall-cmd', 'exit 252');
      target.write('etc/ufw/ufw.conf', '# ENABLED=yes\nENABLED=no\n');
    },
  ],
];

const named = (cases: readonly Case[]) => cases.map((one) => [one[0], one] as const);
const texts = (said: string | readonly string[]): readonly string[] =>
  typeof said === 'string' ? [said] : said;

describe.each(Object.entries(REFUSED))('refuses %s', (_kind, cases) => {
  it.each(named(cases))('%s', (_what, [, prepare, said, env = {}]) => {
    const target = machine();
    prepare(target);
    const before = target.snapshot();
    const done = target.run([], env);
    for (const text of texts(said)) expect(done.err).toContain(text);
    expect(done.err.match(/^error: /gm)).toHaveLength(1);
    expect(done.code).toBe(3);
    expect(target.snapshot()).toEqual(before);
    expect(done.requests).toEqual([]);
  });
});

describe('warns and goes on where', () => {
  it.each(named(WARNED))('%s', (_what, [, prepare, said, env = {}]) => {
    const target = machine();
    prepare(target);
    const done = target.run([], env);
    for (const text of texts(said)) expect(done.err).toContain(text);
    expect(done.err).not.toMatch(/^error: /m);
    expect(done.code).toBe(0);
  });
});

describe('says nothing of a machine', () => {
  it.each(ACCEPTED)('%s', (_what, prepare) => {
    const target = machine();
    prepare(target);
    const done = target.run();
    expect([done.err, done.code]).toEqual(['', 0]);
  });
});

describe('all faults of a machine', () => {
  const broken = (): Machine => {
    const target = machine();
    remove('run/systemd')(target);
    remove('dev/kmsg')(target);
    route()(target);
    target.unstub('curl');
    listens('tcp', '192B')(target);
    return target;
  };
  const FAULTS = [
    'missing on this machine: curl',
    'systemd is not running',
    'port 6443 is taken',
    'this machine has no default route',
    'there is no /dev/kmsg',
  ];

  it('are named by one run, which ends with the code of the gravest', () => {
    const target = broken();
    const before = target.snapshot();
    const done = target.run();
    for (const fault of FAULTS) expect(done.err).toContain(`error: ${fault}`);
    expect(done.err.match(/^error: /gm)).toHaveLength(FAULTS.length);
    expect(done.code).toBe(2);
    expect(done.calls).toEqual([]);
    expect(target.snapshot()).toEqual(before);
  });

  it('are named by a dry run, which goes on with its plan', () => {
    const done = broken().run(['--dry-run'], { STUB_UID: '1000' });
    for (const fault of FAULTS) expect(done.err).toContain(`warning: a real run would stop here: ${fault}`);
    expect(done.code).toBe(0);
    expect(done.calls).toEqual([]);
    expect(done.out).toContain('would install it as');
  });

  it('do not matter to the client tools', () => {
    const target = broken();
    target.stub('curl', 'exit 0');
    expect(target.run(['--dry-run', '--only', 'kubectl,k9s,helm']).err).toBe('');
  });
});

it('tries overlayfs where the images will be, before any request, and leaves nothing of it', () => {
  const target = machine();
  const { calls } = target.run();
  const [mounted, , ...later] = calls;
  const folder = /upperdir=(\S+)\/upper,/.exec(mounted!)![1]!;
  expect(folder.startsWith(target.at('var/lib/.mlops-lifecycle.'))).toBe(true);
  expect(calls[1]).toBe(`umount ${folder}/merged`);
  expect(later[0]).toMatch(/^curl /);
  expect(fs.existsSync(folder)).toBe(false);
});

it('gives k3s the label that its SELinux policy wants, as its own installer does', () => {
  const target = machine();
  target.stub('getenforce', 'echo Enforcing');
  target.stub('chcon', 'echo "chcon $*" >>"$CALLS"');
  target.write('usr/share/selinux/packages/k3s.pp', '');
  const done = target.run();
  expect([done.err, done.code]).toEqual(['', 0]);
  expect(done.calls.filter((call) => call.startsWith('chcon'))).toEqual([
    `chcon -u system_u -r object_r -t container_runtime_exec_t ${target.at('usr/local/bin/.mlops-lifecycle.k3s.new')}`,
  ]);
});

it('warns of a full disk with a GPU and without', () => {
  const target = machine();
  target.stub('nvidia-container-runtime', 'true');
  const done = target.run(['--dry-run'], { STUB_GPU: '1', STUB_FREE_KB: '30000000' });
  expect(done.err).toContain('about 40 GB');
  expect(machine().run(['--dry-run'], { STUB_FREE_KB: '30000000' }).err).toContain('about 40 GB');
  expect(machine().run(['--dry-run'], { STUB_FREE_KB: '50000000' }).err).toBe('');
});

it('lets an upgrade find its own k3s on the ports, and its own data', () => {
  const target = installed();
  listens('tcp', '192B')(target);
  target.write('var/lib/rancher/k3s/server/db/state.db', '');
  fs.appendFileSync(target.at('usr/local/bin/k3s'), '# damaged\n');
  const done = target.run();
  expect([done.err, done.code]).toEqual(['', 0]);
  expect(done.requests).toHaveLength(2);
});
