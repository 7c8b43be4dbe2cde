import { type ChildProcess, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { downloads, installed, machine, sha256, TOOLS, version } from './support/bootstrap-machine';

describe('scripts/bootstrap.sh', () => {
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

    it('nothing where k3s is installed but stopped, and starts it', () => {
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

    it('the proxy settings also when they are set or changed later, and keeps them in a run without any', () => {
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

    it('no proxy settings over a file that somebody else changed', () => {
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
      // What is tried before the first request is undone.
      const others = done.calls.filter((call) => !call.startsWith('curl '));
      expect(others).toEqual([
        expect.stringMatching(/^mount -t overlay /),
        expect.stringMatching(/^umount .*\/merged$/),
      ]);
      expect(done.calls.slice(0, 2)).toEqual(others);
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

    it('but not again where the user took the line out, and then prints it', () => {
      const target = machine();
      expect(target.run().out).not.toContain('export KUBECONFIG');
      target.write('home/ada/.bashrc', '');
      expect(target.run().out).toContain(HINT);
      expect(target.read('home/ada/.bashrc')).toBe('');
      expect(target.run(['--uninstall', '--yes']).out).not.toContain('removed: the line');
      expect(target.read('home/ada/.bashrc')).toBe('');
    });

    it('but not where something sets it already, where the profile is a link, or for a shell without a profile', () => {
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

    it('and leaves folders and binaries that were there before', () => {
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

    it('and leaves a binary that somebody replaced since', () => {
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

    it('nothing while a volume cannot be unmounted', () => {
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

    it('and ends the containers that outlive the service, and no other process', async () => {
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
        // If the script had ended the third process too, Node would know it by then.
        await new Promise((resolve) => setTimeout(resolve, 200));
        expect(other.exitCode ?? other.signalCode).toBeNull();
      } finally {
        for (const process of [shim, child, other]) process.kill('SIGKILL');
      }
    });
  });
});
