#!/bin/bash
# Process 1 of a made-up machine for the tests of bootstrap.sh: a fresh Debian in
# network, mount, process, IPC, host-name and cgroup namespaces of its own. What
# it writes is in memory, and is gone when its process ends.
# usage: unshare --net --mount --pid --ipc --uts --fork --kill-child machine.sh ROOT NAME INIT
#   ROOT  what root.sh prints; it is not written to
#   NAME  of the machine's cgroup
#   INIT  systemd, or none: then process 1 only sleeps
set -euo pipefail
root=$1 name=$2 init=$3

mount --make-rprivate /
hostname machine

# systemd needs the root of a cgroup tree, which is this cgroup within the namespace made below.
mount -t cgroup2 cgroup2 /mnt
mkdir "/mnt/$name"
echo $$ > "/mnt/$name/cgroup.procs"
umount /mnt

# Only what is written takes memory; the size is what the machine says is free.
mount -t tmpfs -o size=64g tmpfs /mnt
mkdir /mnt/{upper,work,root}
mount -t overlay overlay -o "lowerdir=$root,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
cd /mnt/root
# k3s keeps images by overlayfs, for which an overlay will not do.
cp -a var/lib /mnt/lib
mount --bind /mnt/lib var/lib

mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
  touch "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
touch dev/kmsg
ln -s /proc/self/fd dev/fd
mount -t proc proc proc
# The kernel's settings are the whole computer's: nothing in here may change them.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
mkdir run/pretended
pretend() { # PATH TEXT: what the machine reads there instead of the computer's own
  local file="run/pretended/${1//\//-}"
  printf '%s\n' "$2" > "$file"
  mount --bind "$file" "$1"
}
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
  kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
  pretend "proc/sys/${setting%=*}" "${setting#*=}"
done
[ ! -e sys/module/apparmor/parameters/enabled ] || pretend sys/module/apparmor/parameters/enabled N
if [ "$init" = none ]; then
  mount -t tmpfs tmpfs sys/fs/cgroup
  echo 'cpuset cpu io memory pids' > sys/fs/cgroup/cgroup.controllers
fi
ip link set lo up

echo machine > etc/hostname
printf '127.0.0.1 localhost machine\n' > etc/hosts
printf 'nameserver 192.0.2.1\n' > etc/resolv.conf
chroot . useradd --create-home --shell /bin/bash ada
printf 'ada ALL=(ALL) NOPASSWD: ALL\n' > etc/sudoers.d/ada

mkdir old
pivot_root . old
cd /
umount -l /old
rmdir /old
touch /run/machine-is-made
# A cgroup namespace, and an environment without the caller's variables.
# shellcheck disable=SC2016
exec env -i container=test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin unshare --cgroup bash -c '
  if [ "$1" = systemd ]; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    exec /lib/systemd/systemd --log-target=null --unit=basic.target
  fi
  while :; do sleep infinity; done' _ "$init"
