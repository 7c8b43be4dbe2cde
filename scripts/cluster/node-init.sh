#!/bin/bash
# Process 1 of the node. It runs in network, mount, process, IPC, host-name and
# cgroup namespaces of its own. The mounts, addresses and processes in them are
# gone when it ends, and the machine itself stays as it was.
# usage: node-init.sh STATE NODE_IP
set -euo pipefail
state=$1 node_ip=$2

# Private to the node, and shared within it: the kubelet's mounts must reach the containers.
mount --make-rprivate /
mount --make-rshared /
hostname node1

mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/cluster "$state"/{kubelet,containerd,logs/pods,logs/containers}
# The configuration names these fixed paths, so that it does not depend on the folder of the state.
mount --bind "$state" /run/cluster
mkdir -p /var/lib/kubelet /var/lib/containerd
mount --bind "$state/kubelet" /var/lib/kubelet
mount --bind "$state/containerd" /var/lib/containerd
mount --bind "$state/logs" /var/log

# The same cgroup controllers (version 1) as outside, seen from this cgroup namespace.
controllers=$(awk -F: '$2 != "" {print $2}' /proc/self/cgroup)
umount --lazy --recursive /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
for controller in $controllers; do
  mkdir "/sys/fs/cgroup/${controller#name=}"
  case $controller in
    name=*) mount -t cgroup -o "none,$controller" cgroup "/sys/fs/cgroup/${controller#name=}" ;;
    *) mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller" ;;
  esac
done

# The kubelet requires these settings, which hold for the whole machine. Files with
# the required values are mounted over them, so that the machine keeps its own.
pretend() {
  mkdir -p "/run/sysctl/${1%/*}"
  echo "$2" > "/run/sysctl/$1"
  mount --bind "/run/sysctl/$1" "/proc/sys/$1"
}
pretend vm/overcommit_memory 1
pretend kernel/panic 10
pretend kernel/panic_on_oops 1

# An address for the node, and a default route that leads nowhere: without one
# the kernel refuses a Service address before kube-proxy's rules can turn it into a pod's.
ip link set lo up
ip link add node0 type veth peer name node0-peer
ip address add "$node_ip/24" dev node0
ip link set node0 up
ip link set node0-peer up
ip route add default dev node0
sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1 net.ipv4.ip_unprivileged_port_start=0 \
  net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0

touch /run/node-is-up
trap 'exit 0' TERM INT
while :; do
  sleep infinity &
  wait $! || true # Orphans are reaped here.
done
