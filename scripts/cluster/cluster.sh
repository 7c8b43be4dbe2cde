#!/bin/bash
# A real single-node Kubernetes in namespaces of its own. See usage.
. "$(dirname "$0")/lib.sh"
. "$here/binaries.sh"
. "$here/images.sh"

name=${CLUSTER_NAME:-default}
state=$cache/clusters/$name
node=node1 node_ip=10.89.0.1 services=10.43.0.0/16 pods=10.42.0.0/16

usage() {
  cat << END
usage: cluster.sh up                 a fresh cluster; one of the same name is taken down first
       cluster.sh down               removes it, and everything it stored
       cluster.sh status             says whether it is up
       cluster.sh kubectl ARG...     kubectl as cluster-admin; it sees the work tree as this shell does
       cluster.sh enter COMMAND...   COMMAND inside the node's network and mounts, with KUBECONFIG set
       cluster.sh load NAME...       builds images/NAME.sh where it changed, and gives it to the running node

CONTROL_PLANE_ONLY=1  up: the API server and its controllers; pods stay Pending
CLUSTER_NAME=NAME     any number of clusters beside each other (default: default)
MLOPS_CACHE=FOLDER    where everything is built and stored ($cache)

The machine has no route into the node: reach a Service or a pod through 'enter'.
Logs: $state/logs
END
}

# --- the node: a cgroup and a process 1 ------------------------------------------

# The node's cgroups are below the caller's, so that the caller's limits hold for the node.
cgroups_here() {
  local controllers path
  while IFS=: read -r _ controllers path; do
    [ -z "$controllers" ] || echo "/sys/fs/cgroup/${controllers#name=}${path%/}/cluster-$name"
  done < /proc/self/cgroup
}

join_cgroups() {
  local folder
  while read -r folder; do echo "$BASHPID" > "$folder/cgroup.procs"; done < "$state/cgroups"
}

node_up() {
  mkdir -p "$state"
  cgroups_here > "$state/cgroups"
  local folder
  while read -r folder; do
    mkdir -p "$folder"
    # A new cpuset is empty, and accepts no process before it has CPUs and memory.
    case $folder in */cpuset/*)
      cat "${folder%/*}/cpuset.cpus" > "$folder/cpuset.cpus"
      cat "${folder%/*}/cpuset.mems" > "$folder/cpuset.mems"
      echo 1 > "$folder/cgroup.clone_children"
      ;;
    esac
  done < "$state/cgroups"
  (
    join_cgroups
    exec setsid unshare --net --mount --pid --ipc --uts --cgroup --fork --kill-child --mount-proc \
      bash "$here/node-init.sh" "$state" "$node_ip"
  ) > "$state/node-init.log" 2>&1 < /dev/null 8>&- &
  local unshare=$!
  for _ in {1..200}; do
    if pgrep -P "$unshare" > "$state/pid" && nsenter -t "$(< "$state/pid")" -m test -e /run/node-is-up; then return; fi
    sleep 0.05
  done
  cat "$state/node-init.log" >&2
  die 'the node did not start'
}

# Kills the processes that an earlier run left. The cgroup has them, however that run ended.
node_down() {
  [ -s "$state/cgroups" ] || return 0
  local folder pids
  while read -r folder; do
    for _ in {1..100}; do
      [ -d "$folder" ] || break
      pids=$(find "$folder" -name cgroup.procs -exec cat {} + 2> /dev/null | sort -u) || true
      # shellcheck disable=SC2086
      if [ -n "$pids" ]; then kill -9 $pids 2> /dev/null || true; fi
      if find "$folder" -depth -type d -exec rmdir {} + 2> /dev/null; then break; fi
      sleep 0.05
    done
    [ ! -d "$folder" ] || die "cannot remove $folder"
  done < "$state/cgroups"
}

is_up() { [ -e "$state/ready" ] && kill -0 "$(< "$state/pid")" 2> /dev/null; }

enter() {
  join_cgroups
  exec nsenter -t "$(< "$state/pid")" --net --mount --pid --ipc --uts --cgroup --wd="$PWD" -- \
    env KUBECONFIG=/run/cluster/pki/admin.kubeconfig KUBECACHEDIR=/run/kubectl CONTAINERD_NAMESPACE=k8s.io PATH="/run/cluster/bin:$PATH" "$@"
}

# --- what runs in it -------------------------------------------------------------

in_node() (enter "$@")
k() (enter kubectl "$@")

# service PROGRAM [ARG...]
service() { (enter setsid "$@" > "$state/logs/$1.log" 2>&1 < /dev/null 8>&-) & }

# wait_for WHAT COMMAND...: waits at most two minutes, ten times what any of these takes on a busy machine.
wait_for() {
  local what=$1 deadline=$((EPOCHSECONDS + 120))
  shift
  until in_node "$@" > /dev/null 2>&1; do
    [ $EPOCHSECONDS -lt $deadline ] || die "timed out: $what; see $state/logs"
    sleep 0.1
  done
  say "$what"
}

control_plane() {
  local pki=/run/cluster/pki
  service etcd --data-dir=/run/cluster/etcd --unsafe-no-fsync --log-level=warn \
    --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 \
    --listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380 --initial-cluster=default=http://127.0.0.1:2380
  service kube-apiserver --etcd-servers=http://127.0.0.1:2379 --advertise-address=$node_ip --service-cluster-ip-range=$services \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged --profiling=false \
    --tls-cert-file=$pki/apiserver.crt --tls-private-key-file=$pki/apiserver.key --client-ca-file=$pki/ca.crt \
    --kubelet-client-certificate=$pki/apiserver-to-kubelet.crt --kubelet-client-key=$pki/apiserver-to-kubelet.key \
    --kubelet-certificate-authority=$pki/ca.crt --kubelet-preferred-address-types=InternalIP \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file=$pki/service-accounts.pub --service-account-signing-key-file=$pki/service-accounts.key \
    --requestheader-client-ca-file=$pki/ca.crt --requestheader-allowed-names=front-proxy \
    --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
    --requestheader-extra-headers-prefix=X-Remote-Extra- --proxy-client-cert-file=$pki/front-proxy.crt --proxy-client-key-file=$pki/front-proxy.key
}

controllers() {
  local pki=/run/cluster/pki
  service kube-controller-manager --kubeconfig=$pki/controller-manager.kubeconfig --bind-address=127.0.0.1 --leader-elect=false \
    --authentication-kubeconfig=$pki/controller-manager.kubeconfig --authorization-kubeconfig=$pki/controller-manager.kubeconfig \
    --use-service-account-credentials --service-account-private-key-file=$pki/service-accounts.key --root-ca-file=$pki/ca.crt \
    --cluster-signing-cert-file=$pki/ca.crt --cluster-signing-key-file=$pki/ca.key \
    --kube-api-qps=500 --kube-api-burst=1000 --allocate-node-cidrs --cluster-cidr=$pods --service-cluster-ip-range=$services --profiling=false
  service kube-scheduler --kubeconfig=$pki/scheduler.kubeconfig --bind-address=127.0.0.1 --leader-elect=false \
    --authentication-kubeconfig=$pki/scheduler.kubeconfig --authorization-kubeconfig=$pki/scheduler.kubeconfig --profiling=false
}

# Links the store's layers instead of copying them. That is safe, because committed
# snapshots are only read, and removing one removes the link alone.
link_store() {
  local snapshotter=io.containerd.snapshotter.v1.overlayfs content=io.containerd.content.v1.content
  mkdir -p "$state/containerd/$snapshotter/snapshots"
  cp -a "$1/io.containerd.metadata.v1.bolt" "$state/containerd/"
  cp -al "$1/$content" "$state/containerd/"
  cp -a "$1/$snapshotter/metadata.db" "$state/containerd/$snapshotter/"
  ln -s "$1/$snapshotter/snapshots/"* "$state/containerd/$snapshotter/snapshots/"
}

up() {
  local binary images netpol pki program
  need conntrack containerd containernetworking-plugins curl iproute2 ipset iptables openssl procps runc
  binary=$(kube hyperkube)
  if [ -z "${CONTROL_PLANE_ONLY:-}" ]; then images=$(store) netpol=$(kube netpol); fi
  # Certificates for two months, renewed every month.
  pki=$(artifact pki/node "$(hash "$(contents pki.sh)" "$(date +%Y-%m)" $node_ip)" certificates)

  rm -rf "$state"
  mkdir -p "$state"/{bin,logs}
  cp -r "$pki" "$state/pki"
  cp -r "$here/config" "$state/config"
  echo 'nameserver 10.43.0.10' > "$state/resolv.conf"
  for program in etcd kube-apiserver kube-controller-manager kube-proxy kube-scheduler kubectl kubelet; do ln -s "$binary" "$state/bin/$program"; done
  if [ -n "${images:-}" ]; then
    ln -s "$netpol" "$state/bin/netpol"
    link_store "$images"
  fi

  node_up
  say 'node'
  control_plane
  if [ -n "${images:-}" ]; then service containerd --config /run/cluster/config/containerd.toml; fi
  # The controller manager exits where it finds no roles.
  wait_for 'API server ready' curl -fsS --cacert /run/cluster/pki/ca.crt https://127.0.0.1:6443/readyz
  controllers
  if [ -n "${images:-}" ]; then
    wait_for 'containerd ready' test -S /run/containerd/containerd.sock
    service kubelet --config=/run/cluster/config/kubelet.yaml --kubeconfig=/run/cluster/pki/kubelet.kubeconfig \
      --hostname-override=$node --node-ip=$node_ip
    service kube-proxy --config=/run/cluster/config/kube-proxy.yaml
    service netpol --kubeconfig=/run/cluster/pki/admin.kubeconfig
    k apply -f /run/cluster/config/addons.yaml > /dev/null
  fi
  # The API server refuses every pod of a namespace without it.
  wait_for 'default service account' kubectl get serviceaccount default
  if [ -n "${images:-}" ]; then
    wait_for 'node ready' kubectl wait --for=condition=Ready node/$node --timeout=60s
    wait_for 'DNS and volumes ready' kubectl -n kube-system wait --for=condition=Available deployment --all --timeout=60s
  fi
  touch "$state/ready"
}

certificates() { bash "$here/pki.sh" "$1" $node $node_ip 10.43.0.1; }

down() {
  node_down
  rm -rf "$state"
}

load() {
  local image
  is_up || die "cluster '$name' is not up"
  for image; do
    image "$image" | python3 "$here/oci.py" "$state/containerd" | in_node ctr images import - > /dev/null
    say "loaded $image"
  done
}

# Makes `up` and `down` of the same cluster wait for each other.
exclusively() {
  mkdir -p "$cache/clusters"
  exec 8> "$cache/clusters/$name.lock"
  flock 8
}

case ${1:-} in
  up)
    exclusively
    down
    up
    ;;
  down)
    exclusively
    down
    ;;
  status) if is_up; then echo up; else echo down && exit 1; fi ;;
  kubectl) is_up || die "cluster '$name' is not up"; enter "$@" ;;
  enter) is_up || die "cluster '$name' is not up"; shift; enter "$@" ;;
  load) shift; load "$@" ;;
  -h | --help) usage ;;
  *) usage >&2; exit 2 ;;
esac
