#!/bin/bash
# Stands in for k3s in the tests of bootstrap.sh, which cannot have the real one:
# it makes what a running k3s leaves on a machine (files, a volume, interfaces,
# firewall rules, a container's process) and answers what bootstrap.sh asks it.
# It has no Kubernetes: `kubectl apply` only stores the file.
set -euo pipefail
data=/var/lib/rancher/k3s shim=$data/data/0123/bin/containerd-shim-runc-v2

serve() { # MODE of the kubeconfig
  mkdir -p /etc/rancher/k3s "$data/server" "${shim%/*}" /run/k3s /run/flannel /var/lib/cni /var/lib/kubelet/pods/1/volume \
    /etc/rancher/node /var/log/pods /var/log/containers
  [ -e /etc/rancher/k3s/k3s.yaml ] || (umask 077 && printf 'apiVersion: v1\n# %s\n' "$RANDOM$RANDOM" > /etc/rancher/k3s/k3s.yaml)
  chmod "$1" /etc/rancher/k3s/k3s.yaml
  env | grep -i _proxy > "$data/server/proxy" || true

  mountpoint -q /var/lib/kubelet/pods/1/volume || mount -t tmpfs tmpfs /var/lib/kubelet/pods/1/volume
  ip link add cni0 type bridge 2> /dev/null || true
  ip link add flannel.1 type bridge 2> /dev/null || true
  iptables -N KUBE-FORWARD 2> /dev/null || true
  iptables -C FORWARD -j KUBE-FORWARD 2> /dev/null || iptables -A FORWARD -j KUBE-FORWARD
  cp -f /bin/sleep "$shim"
  setsid "$shim" infinity &

  touch /run/k3s/ready
  systemd-notify --ready
  exec sleep infinity
}

case "$*" in
  'server --write-kubeconfig-mode '*) serve "$3" ;;
  'kubectl --kubeconfig /etc/rancher/k3s/k3s.yaml get nodes --no-headers')
    [ ! -e /run/k3s/ready ] || echo 'machine Ready control-plane 1s v1.34'
    ;;
  'kubectl --kubeconfig /etc/rancher/k3s/k3s.yaml get -f '*' -o name')
    cat "$data/server/applied" 2> /dev/null || exit 1
    ;;
  'kubectl --kubeconfig /etc/rancher/k3s/k3s.yaml apply -f '*) cp "$6" "$data/server/applied" ;;
  'kubectl --kubeconfig /etc/rancher/k3s/k3s.yaml wait --for=condition=Established --timeout=60s -f '*)
    [ -s "$data/server/applied" ]
    ;;
  --version) echo 'k3s version v1.30.1+k3s1 (made up)' ;;
  *) echo "k3s: this stand-in knows no '$*'" >&2 && exit 1 ;;
esac
