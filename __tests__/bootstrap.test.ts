import * as fs from 'node:fs';
import {
  APPLIED,
  downloads,
  installed,
  machine,
  type Machine,
  SCRIPT,
  SOURCE,
  type Tool,
  TOOLS,
  version,
} from './support/bootstrap-machine';

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

  describe('on a machine that lacks what it needs', () => {
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

    it('and leaves those that are there already', () => {
      const target = installed();
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

    it('or ends with exit code 5 where the cluster refuses them, after it wrote the kubeconfig', () => {
      const target = machine();
      const done = target.run([], { STUB_REFUSES: '1' });
      expect(done.code).toBe(5);
      expect(done.err).toContain(`error: the cluster did not take the definitions of ${target.definitions}`);
      expect(target.has('home/ada/.kube/config')).toBe(true);
      expect(target.run().code).toBe(0);
      expect(target.has(APPLIED)).toBe(true);
    });

    it('or, where none lie beside it, says that the first apply must be repeated', () => {
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
});
