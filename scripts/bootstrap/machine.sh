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

mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
  touch "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t proc proc proc
# The kernel's settings are the whole computer's: nothing in here may change them.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
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
