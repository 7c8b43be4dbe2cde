#!/usr/bin/env bash
#
# Puts k3s, kubectl, k9s and helm on a bare Linux machine, so that
# `kubectl apply -f dist` has a cluster that knows the kinds in it. `--help`
# describes the options and exit codes.

set -Eeuo pipefail
umask 022

# --- Versions and checksums: the only place they are written -----------------
#
# kubectl may be one minor away from the cluster, no further (Kubernetes skew
# policy). A pin is the sha256 of the file that is downloaded; it is checked on
# top of the checksum file the project publishes beside the file. An empty pin
# means that only the published file is checked.
#
# Where each was seen:
#   k3s      version: a package list in nixpkgs' form and an installer log for
#            arm64. No pin: no list that more than one party checks carries the
#            hash of this binary, and a wrong pin would stop every machine.
#   kubectl  version and both hashes: kubespray, kubectl_checksums.
#   k9s      version and both hashes: the Makefile of rancher/shell's image, and k9s's brew formula.
#   helm     version and both hashes: Helm's release notes, and the same Makefile.
K3S_VERSION="v1.34.5+k3s1"
K3S_SHA256_AMD64=""
K3S_SHA256_ARM64=""

KUBECTL_VERSION="v1.34.4"
KUBECTL_SHA256_AMD64="d50c359d95e0841eaad08ddc27c7be37cba8fdccfba5c8e2ded65e121ff112db"
KUBECTL_SHA256_ARM64="5b982c0644ab1e27780246b9085a5886651b4a7ed86243acbb2bacc1bea01dda"

K9S_VERSION="v0.50.18"
K9S_SHA256_AMD64="0b697ed4aa80997f7de4deeed6f1fba73df191b28bf691b1f28d2f45fa2a9e9b"
K9S_SHA256_ARM64="d3dcc051d6be26ee911c00f583412802ebe203a189e51bc079332cb410c83b38"

HELM_VERSION="v3.20.2"
HELM_SHA256_AMD64="258e830a9e613c8a7a302d6059b4bb3b9758f2f3e1bb8ea0d707ce10a9a72fea"
HELM_SHA256_ARM64="5ea2d6bc2cda3f8edf985e028809f5a9278f404fb8ab24044de9b7cb9b79a691"

ALL_TOOLS=(k3s kubectl k9s helm)

# 2026-01-01, in seconds: a clock that is behind it is wrong, because this script is newer.
readonly OLDEST_TIME=1767225600

# --- Paths -------------------------------------------------------------------
#
# For tests only: BOOTSTRAP_ROOT is put in front of every path below (and of
# /proc, /sys, /dev, other files in /etc, and home directories), and
# BOOTSTRAP_WAIT_SECONDS is how long to wait for the node. sudo drops both
# unless told to keep them.
ROOT="${BOOTSTRAP_ROOT:-}"
WAIT_SECONDS="${BOOTSTRAP_WAIT_SECONDS:-240}"

BIN_DIR="$ROOT/usr/local/bin"
UNIT_FILE="$ROOT/etc/systemd/system/k3s.service"
UNIT_ENV_FILE="$ROOT/etc/systemd/system/k3s.service.env"
STATE_DIR="$ROOT/var/lib/mlops-lifecycle"
MANIFEST="$STATE_DIR/installed"
K3S_KUBECONFIG="$ROOT/etc/rancher/k3s/k3s.yaml"
K3S_DATA="$ROOT/var/lib/rancher/k3s"
K3S_IMAGES="$K3S_DATA/agent/images"
# What a running k3s makes. Only those that were not there before are removed.
K3S_DIRS=("$ROOT/etc/rancher/k3s" "$K3S_DATA" "$ROOT/run/k3s" "$ROOT/run/flannel"
  "$ROOT/var/lib/kubelet" "$ROOT/var/lib/cni" "$ROOT/etc/rancher/node" "$ROOT/var/log/pods" "$ROOT/var/log/containers")

# --- Exit codes --------------------------------------------------------------
readonly E_UNSUPPORTED=2 E_PREFLIGHT=3 E_DOWNLOAD=4 E_NOT_READY=5 E_DECLINED=6 E_USAGE=64

usage() {
  cat <<HELP
Usage: sudo scripts/bootstrap.sh [options]

Puts k3s $K3S_VERSION, kubectl $KUBECTL_VERSION, k9s $K9S_VERSION and
helm $HELM_VERSION on this Linux machine. Every download is checked against the
checksum its project publishes before anything is installed or run. The cluster
gets the definitions of dist/00-crds.yaml. A second run finds what is there and
does nothing.

Options:
  --only LIST   only these, comma-separated: k3s,kubectl,k9s,helm
  --dry-run     print each action and do none of them (needs no root)
  --offline DIR take the files from this folder and send no request. It holds
                what --dry-run lists, checksum files included, each under the
                last part of its address. They are checked all the same.
  --kubeconfig-mode MODE
                who may read /etc/rancher/k3s/k3s.yaml: 600, root alone (the
                default), or 644, everybody. Whoever can read it rules the
                cluster, and by that the machine.
  --uninstall   remove what this script installed, and only that; asks first.
                Removing k3s removes the cluster with all its data.
  --yes         do not ask (for --uninstall)
  --help        this text

The person who calls sudo gets a kubeconfig of their own: ~/.kube/config, mode
600, and a line in the shell's profile that names it.

Behind a proxy, let sudo keep the variables; they are also given to k3s:
  sudo --preserve-env=http_proxy,https_proxy,no_proxy scripts/bootstrap.sh

What was installed is listed in /var/lib/mlops-lifecycle/installed.

Exit codes:
  0   done, or nothing to do
  1   a command failed unexpectedly; the message names it
  2   this machine cannot run k3s (macOS, 32-bit, no systemd)
  3   something must be put right first (not root, tool missing, port taken,
      a setting with which k3s does not start); all of it is named at once
  4   a file could not be had or did not match its checksum; nothing was
      installed
  5   k3s was started but the node did not become ready, or did not take the
      definitions; or could not be removed whole
  6   --uninstall was not confirmed; nothing was removed
  64  wrong option
HELP
}

say() { printf '%s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() {
  local code="$1"
  shift
  printf 'error: %s\n' "$*" >&2
  exit "$code"
}

FAULT=0 # the exit code of what was found wrong; 0 where nothing was

# Says what must be put right. The script goes on to the next check, so that one
# run names all faults, and ends at stop_on_faults. A dry run goes on with the plan.
fault() { # code text...
  local code="$1"
  shift
  if ((DRY_RUN)); then
    WOULD_STOP=1
    warn "a real run would stop here: $*"
    return 0
  fi
  printf 'error: %s\n' "$*" >&2
  # That the machine cannot run k3s at all says more than that something must be put right.
  if ((FAULT == 0 || code == E_UNSUPPORTED)); then FAULT="$code"; fi
}

stop_on_faults() {
  ((FAULT == 0)) || exit "$FAULT"
}

have() { command -v "$1" >/dev/null 2>&1; }

# --- Options -----------------------------------------------------------------

DRY_RUN=0
WOULD_STOP=0 # whether the plan of a dry run names what would stop a real one
UNINSTALL=0
ASSUME_YES=0
OFFLINE=""
KUBECONFIG_MODE=600
SELECTED=("${ALL_TOOLS[@]}")

set_selected() {
  local known tool
  IFS=',' read -r -a SELECTED <<<"$1"
  ((${#SELECTED[@]} > 0)) || die $E_USAGE "--only needs a list, such as --only kubectl,helm"
  for tool in "${SELECTED[@]}"; do
    for known in "${ALL_TOOLS[@]}"; do
      [[ $tool == "$known" ]] && continue 2
    done
    die $E_USAGE "--only does not know '$tool'; it knows k3s, kubectl, k9s and helm"
  done
}

set_offline() {
  [[ -n $1 && -d $1 ]] || die $E_USAGE "--offline needs a folder that is there, got '$1'"
  OFFLINE="$(cd -- "$1" && pwd)"
}

set_kubeconfig_mode() {
  [[ $1 == 600 || $1 == 644 ]] || die $E_USAGE "--kubeconfig-mode is 600 or 644, got '$1'"
  KUBECONFIG_MODE="$1"
}

parse_options() {
  while (($# > 0)); do
    case "$1" in
      --help | -h)
        usage
        exit 0
        ;;
      --dry-run) DRY_RUN=1 ;;
      --uninstall) UNINSTALL=1 ;;
      --yes | -y) ASSUME_YES=1 ;;
      --only)
        (($# > 1)) || die $E_USAGE "--only needs a list, such as --only kubectl,helm"
        set_selected "$2"
        shift
        ;;
      --only=*) set_selected "${1#--only=}" ;;
      --offline)
        (($# > 1)) || die $E_USAGE "--offline needs a folder"
        set_offline "$2"
        shift
        ;;
      --offline=*) set_offline "${1#--offline=}" ;;
      --kubeconfig-mode)
        (($# > 1)) || die $E_USAGE "--kubeconfig-mode is 600 or 644"
        set_kubeconfig_mode "$2"
        shift
        ;;
      --kubeconfig-mode=*) set_kubeconfig_mode "${1#--kubeconfig-mode=}" ;;
      *) die $E_USAGE "unknown option '$1'; scripts/bootstrap.sh --help lists the options" ;;
    esac
    shift
  done
}

selected() {
  local tool
  for tool in "${SELECTED[@]}"; do
    [[ $tool == "$1" ]] && return 0
  done
  return 1
}

# --- The machine -------------------------------------------------------------

ARCH=""

detect_machine() {
  local os machine
  os="$(uname -s)"
  machine="$(uname -m)"

  if [[ $os == Darwin ]]; then
    cat >&2 <<MAC
error: this is macOS, and k3s needs Linux. Either run k3s in Docker:
  brew install k3d kubectl helm k9s
  k3d cluster create mlops --image rancher/k3s:${K3S_VERSION/+/-} --port 80:80@loadbalancer
  kubectl apply -f dist/laptop   # twice: the first one brings the definitions that the second one needs
or use a Linux virtual machine and run this script inside it:
  brew install --cask multipass
  multipass launch 24.04 --name mlops --cpus 4 --memory 12G --disk 60G
  multipass shell mlops
MAC
    exit $E_UNSUPPORTED
  fi
  [[ $os == Linux ]] ||
    die $E_UNSUPPORTED "this system is '$os'; k3s needs Linux. Use a Linux machine or virtual machine."

  case "$machine" in
    x86_64 | amd64) ARCH=amd64 ;;
    aarch64 | arm64)
      ARCH=arm64
      warn "this machine is $machine. k3s, kubectl, k9s and helm run here, but Triton and some other" \
        "images of the platform are built for amd64 only or are unproven on arm64: expect pods that do not start."
      ;;
    armv[1-9]* | arm | i?86 | x86)
      die $E_UNSUPPORTED "this machine is 32-bit ($machine); the platform's images exist for 64-bit only." \
        "Use an x86_64 machine, or a 64-bit operating system if the processor allows it."
      ;;
    *)
      die $E_UNSUPPORTED "this machine is '$machine'; only x86_64 (proven) and aarch64 (with a warning) are known." \
        "Use an x86_64 machine."
      ;;
  esac
}

is_wsl() { grep -qi microsoft "$ROOT/proc/version" 2>/dev/null; }

require_systemd() {
  if [[ -d $ROOT/run/systemd/system ]]; then
    ! is_wsl || say "WSL2: systemd is on."
    return 0
  fi
  if is_wsl; then
    if grep -q '4\.4\.0-[0-9]*-Microsoft' "$ROOT/proc/version"; then
      fault $E_UNSUPPORTED "this is WSL1, which has no Linux kernel to run k3s on." \
        "In Windows: wsl --set-version <distribution> 2"
      return 0
    fi
    fault $E_UNSUPPORTED "this is WSL2 without systemd, and k3s runs as a systemd service.
Put these two lines into /etc/wsl.conf:

[boot]
systemd=true

then in Windows run:
  wsl --shutdown
open Linux again and repeat:
  sudo scripts/bootstrap.sh"
    return 0
  fi
  fault $E_UNSUPPORTED "systemd is not running here (no /run/systemd/system), and k3s runs as a systemd" \
    "service. Use a machine or virtual machine that boots with systemd (Ubuntu, Debian, Fedora), not a" \
    "container; or take the client tools alone: --only kubectl,k9s,helm"
}

# GPU is one of: none, ready, no-driver, no-toolkit.
GPU=none
readonly TOOLKIT_GUIDE="https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html"

# This script has no `grep -q` behind a pipe: grep -q closes the pipe early, the
# writer then ends with SIGPIPE, and with pipefail that is a failure.

nvidia_card_on_pci_bus() {
  local device
  for device in "$ROOT"/sys/bus/pci/devices/*; do
    [[ -r $device/vendor && -r $device/class ]] || continue
    # 0x10de is NVIDIA; class 0x03 is a display or 3D controller.
    [[ $(<"$device/vendor") == 0x10de && $(<"$device/class") == 0x03* ]] && return 0
  done
  have lspci && lspci 2>/dev/null | grep -iE '(vga|3d|display).*nvidia' >/dev/null
}

nvidia_driver_answers() {
  local smi
  # WSL keeps the driver's tools out of the usual path.
  for smi in nvidia-smi "$ROOT/usr/lib/wsl/lib/nvidia-smi"; do
    have "$smi" && "$smi" -L 2>/dev/null | grep '^GPU ' >/dev/null && return 0
  done
  return 1
}

detect_gpu() {
  if nvidia_driver_answers; then
    # k3s looks for this program; nvidia-ctk alone does not start containers.
    if have nvidia-container-runtime; then
      GPU=ready
    else
      GPU=no-toolkit
    fi
  elif [[ -e $ROOT/dev/nvidia0 ]] || nvidia_card_on_pci_bus; then
    GPU=no-driver
  fi
}

report_gpu() {
  case "$GPU" in
    ready) say "GPU: found, with driver and container toolkit. k3s finds the toolkit itself (RuntimeClass nvidia)." ;;
    no-driver)
      warn "an NVIDIA GPU is here but no driver answers (nvidia-smi -L). Going on without the GPU. To use it:" \
        "install the driver (Ubuntu: sudo ubuntu-drivers install), reboot, install the container toolkit" \
        "($TOOLKIT_GUIDE), then: sudo systemctl restart k3s"
      ;;
    no-toolkit)
      warn "an NVIDIA GPU and its driver are here but not the container toolkit. Going on without the GPU." \
        "To use it: install the package nvidia-container-toolkit from NVIDIA's repository" \
        "($TOOLKIT_GUIDE), then: sudo systemctl restart k3s"
      ;;
    *) say "GPU: none found." ;;
  esac
}

# --- The list of what was installed ------------------------------------------
#
# One line for each, tab-separated: kind, tool, version, sha256, path. A line is
# written before its file, so that a run that is interrupted can be undone.

# True when the list holds that path; sets SEEN_VERSION and SEEN_SHA256.
is_recorded() { # kind path
  local kind tool path
  [[ -f $MANIFEST ]] || return 1
  while IFS=$'\t' read -r kind tool SEEN_VERSION SEEN_SHA256 path; do
    [[ $kind == "$1" && $path == "$2" && -n $tool ]] && return 0
  done <"$MANIFEST"
  return 1
}

forget() { # path
  local line
  [[ -f $MANIFEST ]] || return 0
  while IFS= read -r line; do
    [[ $line == *$'\t'"$1" ]] || printf '%s\n' "$line"
  done <"$MANIFEST" >"$MANIFEST.new"
  mv -f "$MANIFEST.new" "$MANIFEST"
}

record() { # kind tool version sha256 path
  [[ -d $STATE_DIR ]] || install -d -m 0755 "$STATE_DIR"
  if is_recorded "$1" "$5"; then
    forget "$5"
  fi
  printf '%s\t%s\t%s\t%s\t%s\n' "$@" >>"$MANIFEST"
}

sha256_of() {
  local sum
  sum="$(sha256sum -- "$1")"
  sum="${sum#\\}"
  printf '%s' "${sum%% *}"
}

# Is the file at this path still the one that was recorded?
unchanged() { # kind path
  is_recorded "$1" "$2" && [[ -f $2 && "$(sha256_of "$2")" == "$SEEN_SHA256" ]]
}

# --- What has to be done -----------------------------------------------------

version_of() {
  case "$1" in
    k3s) printf '%s' "$K3S_VERSION" ;;
    kubectl) printf '%s' "$KUBECTL_VERSION" ;;
    k9s) printf '%s' "$K9S_VERSION" ;;
    helm) printf '%s' "$HELM_VERSION" ;;
  esac
}

minor_of() { # v1.34.5+k3s1 -> 1.34
  local version="${1#v}"
  printf '%s' "${version%%.*}.$(cut -d. -f2 <<<"$version")"
}

NEEDED=()

# A tool was installed by this script where the list has its path. Any other is
# left as it is, because somebody else installed it.
find_needed() {
  local tool path
  for tool in "${SELECTED[@]}"; do
    path="$BIN_DIR/$tool"
    if is_recorded binary "$path"; then
      if [[ $SEEN_VERSION == "$(version_of "$tool")" ]] && unchanged binary "$path"; then
        say "$tool $(version_of "$tool"): already installed."
      else
        NEEDED+=("$tool")
      fi
    elif [[ $tool == k3s ]]; then
      foreign_k3s || NEEDED+=(k3s)
    elif [[ -e $path || -L $path ]]; then
      warn "$path was not put there by this script and is left as it is; the project tests $tool" \
        "$(version_of "$tool"). To have that one, remove the file and run this again."
    else
      NEEDED+=("$tool")
    fi
  done
}

# True when another k3s of the same minor version is installed, which then is used.
foreign_k3s() {
  local path="" version=""
  if [[ -e $BIN_DIR/k3s ]]; then
    path="$BIN_DIR/k3s"
  elif have k3s; then
    path="$(command -v k3s)"
  elif [[ -e $UNIT_FILE ]] && ! is_recorded file "$UNIT_FILE"; then
    fault $E_PREFLIGHT "$UNIT_FILE exists but was not written by this script, and there is no k3s" \
      "binary. Remove that unit, then run this again."
  fi
  [[ -n $path ]] || return 1
  version="$("$path" --version 2>/dev/null | awk '$1 == "k3s" && $2 == "version" { print $3 }')" || true
  if [[ -n $version && "$(minor_of "$version")" == "$(minor_of "$K3S_VERSION")" ]]; then
    say "k3s $version is already here, not put there by this script: left as it is." \
      "Its kubeconfig is /etc/rancher/k3s/k3s.yaml."
    return 0
  fi
  fault $E_PREFLIGHT "$path is k3s '${version:-of unknown version}', not put there by this script; the" \
    "project tests $K3S_VERSION. Upgrade or remove it the way it was installed (often: k3s-uninstall.sh), or run" \
    "this with --only kubectl,k9s,helm"
  return 1
}

needed() {
  local tool
  for tool in ${NEEDED[@]+"${NEEDED[@]}"}; do
    [[ $tool == "$1" ]] && return 0
  done
  return 1
}

# --- Before anything is done --------------------------------------------------

require_root() {
  (($(id -u) == 0)) && return 0
  die $E_PREFLIGHT "this needs root, and runs as uid $(id -u). Run: sudo scripts/bootstrap.sh" \
    "(or look first: scripts/bootstrap.sh --dry-run)"
}

require_tools() {
  local missing=() tool
  for tool in "$@"; do
    have "$tool" || missing+=("$tool")
  done
  ((${#missing[@]} == 0)) ||
    fault $E_PREFLIGHT "missing on this machine: ${missing[*]}. Install them with the package manager" \
      "(Debian, Ubuntu: apt-get install curl coreutils tar gzip gawk procps mount; Fedora: dnf install curl" \
      "coreutils tar gzip gawk procps-ng util-linux)."
}

# Ports of k3s: API server, supervisor, kubelet, kube-proxy, controllers and
# containerd's streams. Where another program has one of them, k3s stops at once,
# or its clients reach that program.
readonly K3S_PORTS=(6443 6444 10010 10248 10249 10250 10256 10257 10258 10259)
# UDP, for the network between pods. k3s stops where it cannot have it.
readonly VXLAN_PORT=8472
# Where the platform's node-exporter listens.
readonly NODE_EXPORTER_PORT=9100

# Prints those of the ports that a program listens on.
ports_taken() { # tcp|udp port...
  # Ports stand in hexadecimal in /proc/net. A TCP port is taken in state 0A (it
  # listens), a UDP port in state 07 (it has no peer).
  local table tables=() protocol="$1" state=0A
  shift
  [[ $protocol == tcp ]] || state=07
  for table in "$ROOT/proc/net/$protocol" "$ROOT/proc/net/${protocol}6"; do
    [[ ! -r $table ]] || tables+=("$table")
  done
  ((${#tables[@]} == 0)) || awk -v ports="$*" -v state="$state" '
    $4 == state { sub(/.*:/, "", $2); taken[$2] = 1 }
    END {
      count = split(ports, port, " ")
      for (i = 1; i <= count; i++) if (sprintf("%04X", port[i]) in taken) print port[i]
    }' "${tables[@]}"
}

check_ports() {
  local port listening taken=()
  listening="$(ports_taken tcp "${K3S_PORTS[@]}" 80 443 "$NODE_EXPORTER_PORT")"
  listening=" ${listening//$'\n'/ } "
  for port in "${K3S_PORTS[@]}"; do
    [[ $listening != *" $port "* ]] || taken+=("$port")
  done
  ((${#taken[@]} == 0)) ||
    fault $E_PREFLIGHT "port ${taken[*]} is taken by another program, and k3s needs it (another Kubernetes is" \
      "the usual cause). See which: sudo ss -ltnp 'sport = :${taken[0]}'. Stop it, then run this again."
  # An interface that an earlier k3s left holds the port too, and k3s takes it over.
  if [[ ! -e $ROOT/sys/class/net/flannel.1 && -n "$(ports_taken udp "$VXLAN_PORT")" ]]; then
    fault $E_PREFLIGHT "port $VXLAN_PORT (UDP) is taken, and k3s needs it for the network between pods. See by which" \
      "program: sudo ss -lunp 'sport = :$VXLAN_PORT'; where it names none, by another overlay network: ip -d link" \
      "show type vxlan. Remove it, then run this again."
  fi
  for port in 80 443; do
    [[ $listening != *" $port "* ]] ||
      warn "port $port is taken by another program. The pages of the platform are served there; see which:" \
        "sudo ss -ltnp 'sport = :$port'. Without it they can be reached by kubectl port-forward only."
  done
  [[ $listening != *" $NODE_EXPORTER_PORT "* ]] ||
    warn "port $NODE_EXPORTER_PORT is taken by another program, and the platform's node-exporter wants it; see which:" \
      "sudo ss -ltnp 'sport = :$NODE_EXPORTER_PORT'. Before the apply, write in the environment: monitoring:" \
      "Monitoring.own({ nodeExporter: NodeExporter.own({ port: 9101 }) }), or NodeExporter.none()"
}

# The kubelet does not start without these controllers.
check_cgroups() {
  local controller have_them wanted missing=() major minor
  local unified="$ROOT/sys/fs/cgroup/cgroup.controllers" own="$ROOT/proc/self/cgroup"
  if [[ -e $unified ]]; then
    have_them=" $(<"$unified") "
    wanted="cpu cpuset memory pids"
    IFS=.- read -r major minor _ <<<"$(uname -r)"
    if ((major < 4 || (major == 4 && minor < 15))); then
      fault $E_PREFLIGHT "the kernel $major.$minor is older than 4.15, the first on which runc runs containers with" \
        "version 2 of cgroups. Use a newer kernel."
    fi
  elif [[ -r $own ]]; then
    # Version 1, or both: the second field has the controllers that are mounted.
    have_them=" $(awk -F : '{ gsub(",", " ", $2); printf "%s ", $2 }' "$own")"
    wanted="cpu cpuacct cpuset memory pids"
  else
    fault $E_PREFLIGHT "no cgroups here (neither /sys/fs/cgroup/cgroup.controllers nor /proc/self/cgroup); k3s" \
      "cannot run containers without them. Use a kernel that has them, as every current distribution's does."
    return 0
  fi
  for controller in $wanted; do
    [[ $have_them == *" $controller "* ]] || missing+=("$controller")
  done
  ((${#missing[@]} == 0)) ||
    fault $E_PREFLIGHT "the kernel has these cgroup controllers switched off: ${missing[*]}. k3s does not start" \
      "without them. Raspberry Pi: add cgroup_enable=cpuset cgroup_memory=1 cgroup_enable=memory to the line in" \
      "/boot/firmware/cmdline.txt (/boot/cmdline.txt before Debian 12) and reboot. Elsewhere: look for cgroup_disable" \
      "in /proc/cmdline; a container gets them from its host (LXC: nesting)."
}

# k3s takes the name of the machine, in lower case, for the node's, and waits for
# ever where Kubernetes refuses it.
check_hostname() {
  local LC_ALL=C name file="$ROOT/proc/sys/kernel/hostname" part='[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?'
  [[ -r $file ]] || return 0
  name="$(<"$file")"
  if [[ ! $name =~ ^$part(\.$part)*$ ]] || ((${#name} > 63)); then
    fault $E_PREFLIGHT "this machine is called '$name', which Kubernetes does not take as the name of a node: letters," \
      "digits, '-' and '.', at most 63, with a letter or digit at both ends. Rename it (sudo hostnamectl" \
      "set-hostname NAME), then run this again."
  fi
}

# k3s takes the address of the interface with the default route, and stops
# where there is no such route.
check_route() {
  local table tables=() found
  for table in "$ROOT/proc/net/route" "$ROOT/proc/net/ipv6_route"; do
    [[ ! -r $table ]] || tables+=("$table")
  done
  ((${#tables[@]} > 0)) || return 0
  # Addresses stand in hexadecimal. The kernel's own default route of IPv6 has no gateway.
  found="$(awk '
    FILENAME ~ /ipv6_route$/ { if ($1 ~ /^0+$/ && $5 !~ /^0+$/) print "ipv6"; next }
    $2 == "00000000" { print "ipv4" }
    $2 ~ /2[AB]0A$/ && $1 !~ /^(cni|flannel)/ { print "pods" }' "${tables[@]}")"
  if [[ $found != *ipv[46]* ]]; then
    fault $E_PREFLIGHT "this machine has no default route, and k3s takes the node's address from it. Without a network, one" \
      "that leads nowhere will do:
  sudo ip link add dummy0 type dummy
  sudo ip link set dummy0 up
  sudo ip addr add 203.0.113.254/31 dev dummy0
  sudo ip route add default via 203.0.113.255 dev dummy0 metric 1000
It is gone after a reboot: let the network's own configuration set it too."
  elif [[ $found != *ipv4* ]]; then
    warn "this machine has a default route of IPv6 alone. k3s then runs pods with IPv6, where the platform was never" \
      "tried: its NetworkPolicies let pods out to IPv4 addresses only. Give the machine an IPv4 address."
  fi
  [[ $found != *pods* ]] ||
    warn "this machine has a route of its own into 10.42.0.0/16 or 10.43.0.0/16, where k3s has its pods and Services." \
      "What lies there cannot be reached from pods; see: ip route"
}

# What the kernel must have, as OPTION:MODULE. Of two options with a slash, one is enough: iptables in its older
# or its newer form. The list is that of k3s's own check-config, without what only other settings of k3s need.
readonly KERNEL_PARTS="NAMESPACES: NET_NS: PID_NS: IPC_NS: UTS_NS: SECCOMP: KEYS: POSIX_MQUEUE:
  CGROUP_DEVICE: CGROUP_FREEZER: OVERLAY_FS:overlay VXLAN:vxlan VETH:veth BRIDGE:bridge BRIDGE_NETFILTER:br_netfilter
  NF_CONNTRACK:nf_conntrack NF_NAT:nf_nat IP_NF_FILTER/NFT_COMPAT: IP_NF_NAT/NFT_COMPAT:
  NETFILTER_XT_MATCH_ADDRTYPE:xt_addrtype NETFILTER_XT_MATCH_COMMENT:xt_comment
  NETFILTER_XT_MATCH_CONNTRACK:xt_conntrack NETFILTER_XT_MATCH_MULTIPORT:xt_multiport
  NETFILTER_XT_MATCH_STATISTIC:xt_statistic"

# Prints the configuration that the running kernel was built with, where it is to be had.
kernel_config() { # release
  local file
  if [[ -r $ROOT/proc/config.gz ]]; then
    gzip -dc <"$ROOT/proc/config.gz" 2>/dev/null || true
    return 0
  fi
  for file in "$ROOT/boot/config-$1" "$ROOT/lib/modules/$1/config"; do
    if [[ -r $file ]]; then
      cat "$file"
      return 0
    fi
  done
}

check_kernel() {
  local release state part module lacking=() absent=()
  release="$(uname -r)"
  # For each part: its options and y, m (a module) or n; ? where the configuration is not known.
  while read -r part state; do
    module="${part#*:}"
    case "$state" in
      n) lacking+=("CONFIG_${part%%:*}") ;;
      m | '?') module_there "$release" "$module" || absent+=("$module") ;;
    esac
  done < <(kernel_config "$release" | awk -v parts="${KERNEL_PARTS//$'\n'/ }" '
    /^CONFIG_[A-Za-z0-9_]+=[ym]$/ { known = 1; split(substr($0, 8), pair, "="); set[pair[1]] = pair[2] }
    END {
      count = split(parts, part, " ")
      for (i = 1; i <= count; i++) {
        options = part[i]
        sub(/:.*/, "", options)
        state = known ? "n" : "?"
        total = split(options, option, "/")
        for (j = 1; j <= total; j++) if (option[j] in set && state != "y") state = set[option[j]]
        print part[i], state
      }
    }')
  ((${#lacking[@]} == 0)) ||
    fault $E_PREFLIGHT "the kernel $release was built without what k3s needs: ${lacking[*]}. Use a kernel of a current" \
      "distribution."
  ((${#absent[@]} == 0)) ||
    fault $E_PREFLIGHT "the kernel $release has no module ${absent[*]}, and k3s needs it. After an update of the kernel:" \
      "reboot. Ubuntu on a Raspberry Pi: sudo apt-get install linux-modules-extra-raspi. RHEL 10 and alike: sudo dnf" \
      "install kernel-modules-extra. A container: load it on its host. Then run this again."
}

# Is the module loaded, built in, or a file? True also where that cannot be told: it
# has no name of its own, or the machine has no list of any kernel's modules, as a
# container, whose kernel finds them on the host.
module_there() { # release module
  local list known=0
  [[ -n $2 && ! -e $ROOT/sys/module/$2 ]] || return 0
  for list in "$ROOT/lib/modules/$1"/modules.{dep,builtin}; do
    [[ ! -r $list ]] || ! grep -q "/$2\.ko" "$list" || return 0
  done
  for list in "$ROOT"/lib/modules/*/modules.dep; do
    [[ ! -r $list ]] || known=1
  done
  ((!known))
}

# The kubelet reads the kernel's log, and sets these, or ends. Both are closed in
# containers, where only the host can open them.
readonly KUBELET_SETTINGS=(vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1
  kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000)

check_kubelet() {
  local setting file locked=()
  [[ -e $ROOT/dev/kmsg ]] ||
    fault $E_PREFLIGHT "there is no /dev/kmsg here, the kernel's log, without which the kubelet does not start. This is" \
      "usual in a container. LXC: add lxc.mount.entry = /dev/kmsg dev/kmsg none defaults,bind,create=file to its" \
      "configuration on the host; or use a virtual machine."
  # Only root may set them, and so only root can tell.
  (($(id -u) == 0)) || return 0
  for setting in "${KUBELET_SETTINGS[@]}"; do
    file="$ROOT/proc/sys/${setting%=*}"
    if [[ -r $file && "$(<"$file")" == "${setting#*=}" ]]; then
      continue
    fi
    mount_of "${file%/*}"
    [[ -w $file && $MOUNT_OPTIONS != *,ro,* ]] || locked+=("${setting//\//.}")
  done
  ((${#locked[@]} == 0)) ||
    fault $E_PREFLIGHT "the kubelet must set ${locked[*]} and cannot: /proc/sys is read-only, as in a container without" \
      "privileges. Set them on the host (sudo sysctl -w ${locked[0]}), let the container write there, or use a" \
      "virtual machine."
}

# The kernel applies profiles to containers, and containerd needs this program to load them.
check_apparmor() {
  local enabled="$ROOT/sys/module/apparmor/parameters/enabled" dir
  [[ -r $enabled && "$(<"$enabled")" == Y ]] || return 0
  for dir in "$ROOT"/{usr/,}{s,}bin; do
    [[ ! -e $dir/apparmor_parser ]] || return 0
  done
  fault $E_PREFLIGHT "AppArmor is on and its program apparmor_parser is missing: containers with a profile are then not" \
    "created. Install it (Debian, Ubuntu: sudo apt-get install apparmor; openSUSE: sudo zypper install" \
    "apparmor-parser), then run this again."
}

# Versions that add the same rules again and again, in the mode for nftables.
check_iptables() {
  local version remedy="Use a newer iptables, or its older mode: sudo update-alternatives --set iptables /usr/sbin/iptables-legacy"
  have iptables || return 0
  version="$(iptables --version 2>/dev/null)" || return 0
  [[ $version == *nf_tables* ]] || return 0
  if [[ $version =~ v1\.8\.[0-3]([^0-9]|$) ]]; then
    fault $E_PREFLIGHT "$version has a fault by which k3s fills the machine with rules; k3s's own check refuses it." \
      "$remedy"
  elif [[ $version =~ v1\.8\.4([^0-9]|$) ]]; then
    warn "$version is known to add the same rules again and again under k3s, unless the distribution has repaired it." \
      "$remedy"
  fi
}

# Services that take the network or the ports from k3s when the machine starts.
check_services() {
  local unit name others=() cloud_setup=0
  for unit in "$ROOT"/etc/systemd/system/*.wants/*; do
    name="${unit##*/}"
    case "$name" in
      kubelet.service | k3s-agent.service | rke2-*.service | k0scontroller.service | k0sworker.service | snap.microk8s.*)
        others+=("$name")
        ;;
      nm-cloud-setup.service | nm-cloud-setup.timer) cloud_setup=1 ;;
    esac
  done
  ((${#others[@]} == 0)) ||
    fault $E_PREFLIGHT "another Kubernetes starts with this machine: ${others[*]}. Two cannot share it: remove it, or switch" \
      "it off (sudo systemctl disable --now ${others[0]}), then run this again."
  ((cloud_setup == 0)) || check_cloud_setup
}

# NetworkManager's service for clouds rewrites routes, before RHEL 8.4 also those of pods.
check_cloud_setup() {
  local disable="sudo systemctl disable nm-cloud-setup.service nm-cloud-setup.timer, then reboot" version
  version="$(awk -F '[="]+' '
    $1 == "ID" || $1 == "ID_LIKE" { if ($0 ~ /rhel|centos|fedora/) alike = 1 }
    $1 == "VERSION_ID" { version = $2 }
    END { if (alike) print version }' "$ROOT/etc/os-release" 2>/dev/null)" || true
  if [[ $version =~ ^(7|8\.[0-3])(\.|$) ]]; then
    fault $E_PREFLIGHT "nm-cloud-setup is on and takes the network from k3s's pods on this version of RHEL. Switch it off:" \
      "$disable."
  else
    warn "nm-cloud-setup is on, which changes routes while k3s runs. If pods lose the network: $disable."
  fi
}

# What an earlier k3s left is taken over by this one.
check_leftovers() {
  local path
  for path in "$ROOT/etc/rancher/k3s/config.yaml" "$ROOT/etc/rancher/k3s/config.yaml.d"; do
    [[ ! -e $path ]] || warn "$path is there, and k3s goes by it. Remove it if its settings are not wanted."
  done
  [[ ! -e $K3S_DATA/server/db ]] || is_recorded dir "$K3S_DATA" ||
    warn "$K3S_DATA has the data of an earlier cluster, and k3s goes on with it. Remove the folder if it is not wanted."
}

# Certificates are made now, and are not valid where the clock is put right later.
check_clock() {
  (($(date +%s) >= OLDEST_TIME)) ||
    fault $E_PREFLIGHT "the clock says $(date), which is before this script was written; certificates will not be valid. Set it:" \
      "sudo timedatectl set-ntp true (or, without a network: sudo timedatectl set-time 'YYYY-MM-DD hh:mm:ss'), then" \
      "run this again."
}

# k3s gives its pods the first of these files whose name servers a pod can reach.
check_dns() {
  local file
  for file in "$ROOT/etc/resolv.conf" "$ROOT/run/systemd/resolve/resolv.conf"; do
    if [[ -r $file ]] && awk '
      $1 == "nameserver" {
        found = 1
        if ($2 ~ /^(127\.|169\.254\.|0\.0\.0\.0$|22[4-9]\.|23[0-9]\.|255\.)/ || $2 ~ /^(::1?$|[Ff][Ee][89AaBb]|[Ff][Ff])/) bad = 1
      }
      END { exit !(found && !bad) }' "$file"; then
      return 0
    fi
  done
  warn "/etc/resolv.conf has no name server that pods can reach (one on this machine itself does not count), and k3s" \
    "then asks 8.8.8.8. Where that is closed, or names of your own network are needed, put the server's address there."
}

# k3s watches files by inotify, and so do most programs of the platform.
check_inotify() {
  local file="$ROOT/proc/sys/fs/inotify/max_user_instances" limit
  [[ -r $file ]] || return 0
  limit="$(<"$file")"
  [[ $limit =~ ^[0-9]+$ ]] && ((limit < 128)) || return 0
  warn "a user may watch files $limit times only (fs.inotify.max_user_instances), and k3s may end with 'too many open" \
    "files'. Raise it: echo fs.inotify.max_user_instances=512 | sudo tee /etc/sysctl.d/60-inotify.conf && sudo sysctl --system"
}

# Sets MOUNT_POINT, MOUNT_TYPE and MOUNT_OPTIONS (",rw,noexec,") to those of the file
# system that holds a path, or to nothing where that is not known.
mount_of() { # path
  local path mounted type options
  MOUNT_POINT="" MOUNT_TYPE="" MOUNT_OPTIONS=""
  path="$(folder_there "$1")"
  [[ -r $ROOT/proc/mounts ]] || return 0
  while read -r _ mounted type options _; do
    # The kernel writes a space in a path as \040.
    mounted="$(printf '%b' "${mounted//\\0/\\00}")"
    # Of two mounts at one place, the later one is seen.
    if [[ $path == "$mounted" || $path == "${mounted%/}"/* ]] && ((${#mounted} >= ${#MOUNT_POINT})); then
      MOUNT_POINT="$mounted" MOUNT_TYPE="$type" MOUNT_OPTIONS=",$options,"
    fi
  done <"$ROOT/proc/mounts"
}

# Prints the path itself, or the nearest folder above it that is there, with links followed.
folder_there() { # path
  local path="$1"
  until [[ -d $path ]]; do
    path="${path%/*}"
    [[ -n $path ]] || path=/
  done
  (cd -- "$path" && pwd -P)
}

# k3s unpacks programs into its data and runs them there, and keeps images in
# layers, by overlayfs, which needs a file system on a disk of this machine.
check_disk() {
  local path reason=""
  for path in "$BIN_DIR" "$K3S_DATA" "${UNIT_FILE%/*}"; do
    mount_of "$path"
    if [[ $MOUNT_OPTIONS == *,ro,* ]]; then
      fault $E_PREFLIGHT "$path is on a file system that is mounted read-only. Mount it for writing (sudo mount -o" \
        "remount,rw ...), or use a system that lets software be installed there."
    elif [[ $MOUNT_OPTIONS == *,noexec,* && $path != "${UNIT_FILE%/*}" ]]; then
      fault $E_PREFLIGHT "$path is on a file system that is mounted noexec, and k3s runs programs there. Take noexec out of" \
        "its options in /etc/fstab, and mount it again."
    fi
  done
  mount_of "$K3S_DATA"
  case "$MOUNT_TYPE" in
    nfs | nfs4 | cifs | smb3 | 9p | ceph | lustre | vfat | msdos | exfat | ntfs | ntfs3 | fuse | fuse.* | fuseblk | overlay | aufs | ecryptfs)
      reason="the kernel does not have it on $MOUNT_TYPE"
      ;;
    xfs)
      if have xfs_info && [[ "$(xfs_info "$MOUNT_POINT" 2>/dev/null)" == *ftype=0* ]]; then
        reason="the XFS there was made with ftype=0, and needs mkfs.xfs -n ftype=1"
      fi
      ;;
  esac
  if [[ -n $reason ]]; then
    no_overlay "$reason"
  elif ((!DRY_RUN && !FAULT)); then
    try_overlay
  fi
}

no_overlay() { # reason
  fault $E_PREFLIGHT "k3s cannot keep images in $K3S_DATA: that takes overlayfs, and $1. Mount a disk with ext4 or xfs" \
    "at /var/lib/rancher (ZFS: version 2.2 or newer, or a zvol; a container: give it such a volume, and privileges)," \
    "then run this again."
}

# Does what k3s does at its start: mounts an overlay where the images will be. All
# of it is removed again.
try_overlay() {
  local answer
  PROBE="$(mktemp -d "$(folder_there "$K3S_DATA")/.mlops-lifecycle.XXXXXXXX")"
  mkdir "$PROBE/lower" "$PROBE/upper" "$PROBE/work" "$PROBE/merged"
  answer="$(mount -t overlay overlay -o "lowerdir=$PROBE/lower,upperdir=$PROBE/upper,workdir=$PROBE/work" \
    "$PROBE/merged" 2>&1)" || no_overlay "mounting one failed (${answer:-mount gives no reason})"
  remove_probe
}

remove_probe() {
  [[ -n $PROBE ]] || return 0
  umount "$PROBE/merged" 2>/dev/null || true
  rm -rf --one-file-system -- "$PROBE"
  PROBE=""
}

check_proxy() {
  local https="${https_proxy:-${HTTPS_PROXY:-}}" http="${http_proxy:-${HTTP_PROXY:-}}" where
  local places=("$ROOT/etc/environment" "$ROOT"/etc/apt/apt.conf "$ROOT"/etc/apt/apt.conf.d/*)
  [[ -z $https ]] || return 0
  if [[ -n $http ]]; then
    warn "http_proxy is set but https_proxy is not, and every download is https: it goes past the proxy. If it must" \
      "not: sudo https_proxy=\"\$http_proxy\" scripts/bootstrap.sh"
    return 0
  fi
  [[ -z $OFFLINE ]] || return 0
  for where in "${places[@]}"; do
    if [[ -r $where ]] && grep -qiE '^[[:space:]]*([^#/].*)?(https?_proxy=|https?::proxy[[:space:]])' "$where"; then
      warn "${where#"$ROOT"} names a proxy, but none is set here (sudo drops the variables). If the downloads need it:" \
        "sudo --preserve-env=http_proxy,https_proxy,no_proxy scripts/bootstrap.sh"
      return 0
    fi
  done
}

# firewalld and ufw drop traffic that k3s's own rules allow: pods then have no DNS.
check_firewall() {
  if have firewall-cmd && firewall-cmd --state >/dev/null 2>&1; then
    warn "firewalld is on and cuts pods off from each other and from DNS. Let them through:
  sudo firewall-cmd --permanent --zone=trusted --add-source=10.42.0.0/16 --add-source=10.43.0.0/16
  sudo firewall-cmd --reload"
  elif grep -qi '^ENABLED=yes' "$ROOT/etc/ufw/ufw.conf" 2>/dev/null; then
    warn "ufw is on and cuts pods off from each other and from DNS. Let them through:
  sudo ufw allow from 10.42.0.0/16 to any
  sudo ufw allow from 10.43.0.0/16 to any"
  fi
}

selinux_enforces() { have getenforce && [[ "$(getenforce 2>/dev/null)" == Enforcing ]]; }

# k3s's own installer ends without this policy.
check_selinux() {
  if selinux_enforces && [[ ! -e $ROOT/usr/share/selinux/packages/k3s.pp ]]; then
    fault $E_PREFLIGHT "SELinux is enforcing, and the policy for k3s is missing (package k3s-selinux): containers would be" \
      "denied access to their files. Install it: sudo dnf install container-selinux, then the package for your release" \
      "from https://github.com/k3s-io/k3s-selinux/releases (openSUSE: zypper), then run this again."
  fi
}

check_space() {
  # Triton's image alone, the same with and without a GPU, is 9 GB to pull and 16 GB unpacked.
  local want_gb=40 total_kb free_kb memory_kb cores
  read -r total_kb free_kb <<<"$(df -Pk "$(folder_there "$K3S_DATA")" | awk 'NR == 2 { print $2, $4 }')"
  if [[ ! $free_kb =~ ^[0-9]+$ ]]; then
    :
  elif ((free_kb < 1000 * 1000)); then
    fault $E_PREFLIGHT "$((free_kb / 1000)) MB free for $K3S_DATA: k3s cannot even unpack itself there. The images need" \
      "about $want_gb GB. Free some space, then run this again."
  elif ((free_kb * 20 < total_kb)); then
    fault $E_PREFLIGHT "less than 5% of the disk of $K3S_DATA is free ($((free_kb / 1000 / 1000)) GB): k3s gives a node no pods" \
      "then. Free some space, then run this again."
  elif ((free_kb < want_gb * 1000 * 1000)); then
    warn "$((free_kb / 1000 / 1000)) GB free under /var/lib; the images need about $want_gb GB." \
      "Free some space, or pods will be evicted."
  fi
  memory_kb="$(awk '$1 == "MemTotal:" { print $2 }' "$ROOT/proc/meminfo" 2>/dev/null)" || true
  # A machine sold with 8 GiB shows a little less.
  if [[ $memory_kb =~ ^[0-9]+$ ]] && ((memory_kb < 7864320)); then
    warn "$((memory_kb / 1024)) MiB of memory; the platform wants 8 GiB or more. Expect slow starts and pods that are killed."
  fi
  cores="$(grep -c '^processor' "$ROOT/proc/cpuinfo" 2>/dev/null)" || true
  [[ $cores != 1 ]] || warn "this machine has one processor core, and k3s alone wants two. Expect slow starts."
}

preflight() {
  local tools=(sha256sum tar gzip install awk)
  [[ -n $OFFLINE ]] || tools+=(curl)
  ! needed k3s || tools+=(mount umount)
  require_tools "${tools[@]}"
  check_proxy
  check_clock
  ! needed k3s || preflight_k3s
}

# What k3s refuses at its start, and what its documentation warns of. Nothing is
# changed before all of it was looked at; docs/bootstrap.md has the sources.
preflight_k3s() {
  require_systemd
  # An upgrade finds its own k3s on the ports.
  is_recorded binary "$BIN_DIR/k3s" || check_ports
  check_hostname
  check_route
  check_dns
  check_cgroups
  check_kernel
  check_kubelet
  check_inotify
  check_apparmor
  check_selinux
  check_iptables
  check_firewall
  check_services
  check_leftovers
  check_space
  # Last, because it tries what the others only look at.
  check_disk
}

# --- Downloads ---------------------------------------------------------------

WORK=""
DOWNLOAD=""
PROBE="" # the folder in which overlayfs is tried

cleanup() {
  remove_probe
  [[ -z $DOWNLOAD ]] || kill "$DOWNLOAD" 2>/dev/null || true
  [[ -z $WORK ]] || rm -rf -- "$WORK"
  rm -f -- "$BIN_DIR"/.mlops-lifecycle.*.new 2>/dev/null || true
}

# Sets URL, SUMS_URL, FILE (name in the checksum file), PIN and MEMBER (path in
# the archive, empty for a bare binary) for one tool.
describe() {
  local base suffix="" pins=()
  MEMBER=""
  case "$1" in
    k3s)
      [[ $ARCH == arm64 ]] && suffix=-arm64
      base="https://github.com/k3s-io/k3s/releases/download/${K3S_VERSION/+/%2B}"
      FILE="k3s$suffix"
      SUMS_URL="$base/sha256sum-$ARCH.txt"
      pins=("$K3S_SHA256_AMD64" "$K3S_SHA256_ARM64")
      ;;
    kubectl)
      base="https://dl.k8s.io/release/$KUBECTL_VERSION/bin/linux/$ARCH"
      FILE=kubectl
      SUMS_URL="$base/kubectl.sha256"
      pins=("$KUBECTL_SHA256_AMD64" "$KUBECTL_SHA256_ARM64")
      ;;
    k9s)
      base="https://github.com/derailed/k9s/releases/download/$K9S_VERSION"
      FILE="k9s_Linux_$ARCH.tar.gz"
      SUMS_URL="$base/checksums.sha256"
      pins=("$K9S_SHA256_AMD64" "$K9S_SHA256_ARM64")
      MEMBER=k9s
      ;;
    helm)
      base="https://get.helm.sh"
      FILE="helm-$HELM_VERSION-linux-$ARCH.tar.gz"
      SUMS_URL="$base/$FILE.sha256sum"
      pins=("$HELM_SHA256_AMD64" "$HELM_SHA256_ARM64")
      MEMBER="linux-$ARCH/helm"
      ;;
  esac
  URL="$base/$FILE"
  PIN="${pins[0]}"
  [[ $ARCH == amd64 ]] || PIN="${pins[1]}"
}

# Puts the file behind an address at a path, from the network or, under
# --offline, from the folder.
fetch() { # tool url path
  local status=0
  if [[ -n $OFFLINE ]]; then
    cp -- "$OFFLINE/${2##*/}" "$3" 2>/dev/null ||
      die $E_DOWNLOAD "$1: $OFFLINE/${2##*/} is missing or cannot be read. Nothing was installed. Where there is a" \
        "network, download $2 and put it there."
    return 0
  fi
  # In the background: bash handles a signal only between commands, and a download
  # may take minutes.
  curl --proto '=https' --tlsv1.2 --fail --location --silent --show-error \
    --connect-timeout 20 --speed-limit 1024 --speed-time 60 --retry 3 --retry-delay 2 --output "$3" "$2" &
  DOWNLOAD=$!
  wait "$DOWNLOAD" || status=$?
  DOWNLOAD=""
  ((status == 0)) ||
    die $E_DOWNLOAD "$1: could not download $2: $(curl_failure "$status"). Nothing was installed. Put that right, then run this again."
}

curl_failure() { # curl's exit status
  case "$1" in
    5) printf 'the host of the proxy is not known here; look at https_proxy' ;;
    6) printf 'the host is not known here: no network, or no DNS; look with: getent hosts github.com' ;;
    7) printf 'nothing answers there: no network, a firewall, or a proxy that is not set (https_proxy)' ;;
    22) printf 'the server refuses it or does not have it; the line of curl above says which' ;;
    28) printf 'it took too long or came to a halt' ;;
    35 | 60) printf 'the TLS certificate is not one this machine trusts; a proxy that opens TLS is the usual cause, and its authority must be installed here' ;;
    56) printf 'the connection broke off, or the proxy refused it' ;;
    *) printf 'curl ended with %s' "$1" ;;
  esac
}

# Ends the script where the file at a path does not have the published checksum.
verify() { # tool path name pin
  local tool="$1" path="$2" name="$3" pin="$4" expected actual
  # kubectl's file holds the hash alone; the others name the file beside it.
  expected="$(awk -v file="$name" '
    NF == 1 && NR == 1 { print $1; exit }
    $2 == file || $2 == "*" file { print $1; exit }' "$WORK/$tool.sums")"
  [[ $expected =~ ^[0-9a-f]{64}$ ]] ||
    die $E_DOWNLOAD "$tool: $SUMS_URL holds no sha256 for $name (found '${expected:-nothing}'). Nothing was installed." \
      "Open that address in a browser; a proxy's login page in its place is the usual cause."

  actual="$(sha256_of "$path")"
  [[ $actual == "$expected" ]] ||
    die $E_DOWNLOAD "$tool: $name does not match its published checksum: expected $expected, got $actual. Nothing was" \
      "installed. Run this again; if it repeats, something between here and ${URL%/*} changes the file: do not use it."
  [[ -z $pin || $actual == "$pin" ]] ||
    die $E_DOWNLOAD "$tool: $name does not match the checksum pinned in this script: expected $pin, got $actual. The" \
      "release was changed after it was pinned. Nothing was installed. Do not use the file before the project says why."
}

# Fetches and checks one tool; leaves the ready binary at $WORK/<tool>.
# Nothing outside $WORK is touched.
obtain() {
  local tool="$1"
  describe "$tool"
  if [[ -n $OFFLINE ]]; then
    say "$tool: taking $OFFLINE/$FILE"
  else
    say "$tool: downloading $URL"
  fi
  fetch "$tool" "$SUMS_URL" "$WORK/$tool.sums"
  fetch "$tool" "$URL" "$WORK/$tool.download"
  verify "$tool" "$WORK/$tool.download" "$FILE" "$PIN"

  if [[ -n $MEMBER ]]; then
    mkdir "$WORK/$tool.unpacked"
    tar -xzf "$WORK/$tool.download" -C "$WORK/$tool.unpacked" --no-same-owner "$MEMBER"
    mv "$WORK/$tool.unpacked/$MEMBER" "$WORK/$tool"
  else
    mv "$WORK/$tool.download" "$WORK/$tool"
  fi
}

images_name() { printf 'k3s-airgap-images-%s.tar.zst' "$ARCH"; }

# Does the folder hold an archive that the installed k3s was not given yet?
images_due() {
  selected k3s && is_recorded binary "$BIN_DIR/k3s" &&
    [[ -n $OFFLINE && -e $OFFLINE/$(images_name) && ! -e $K3S_IMAGES/$(images_name) ]]
}

# Without a network k3s also needs the images of its own pods (DNS, ingress,
# volumes), which it loads from a folder. --offline DIR may contain their archive.
obtain_images() {
  [[ -n $OFFLINE ]] || return 0
  local name
  name="$(images_name)"
  describe k3s
  if [[ ! -e $OFFLINE/$name ]]; then
    warn "$OFFLINE has no $name: k3s will pull the images of its own pods (DNS, ingress) from the network, and" \
      "without one they do not start. Download ${URL%/*}/$name"
    return 0
  fi
  say "k3s: taking $OFFLINE/$name"
  [[ -e $WORK/k3s.sums ]] || fetch k3s "$SUMS_URL" "$WORK/k3s.sums"
  cp -- "$OFFLINE/$name" "$WORK/$name"
  verify k3s "$WORK/$name" "$name" ""
  IMAGES_ARCHIVE="$WORK/$name"
}

# The new file is complete before it takes the old one's place.
put_binary() {
  local tool="$1" path="$BIN_DIR/$1" next="$BIN_DIR/.mlops-lifecycle.$1.new"
  install -d -m 0755 "$BIN_DIR"
  install -m 0755 "$WORK/$tool" "$next"
  # The policy for k3s holds for programs with this label, as k3s's own installer sets it.
  if [[ $tool == k3s ]] && selinux_enforces; then
    chcon -u system_u -r object_r -t container_runtime_exec_t "$next"
  fi
  record binary "$tool" "$(version_of "$tool")" "$(sha256_of "$next")" "$path"
  mv -f "$next" "$path"
  say "$tool $(version_of "$tool"): installed at $path"
}

put_file() { # tool mode path; content on standard input
  local next="$3.new"
  install -d -m 0755 "$(dirname "$3")"
  : >"$next"
  chmod "$2" "$next"
  cat >"$next"
  record file "$1" - "$(sha256_of "$next")" "$3"
  mv -f "$next" "$3"
}

# --- k3s as a service ---------------------------------------------------------
#
# k3s ships an install script that writes a unit and an uninstall script. It is
# not used: no checksum of it is published apart from the script itself, and it
# changes more of the machine than is wanted here. The unit below starts only the
# verified binary, and --uninstall below removes it.

unit_text() {
  # Not --default-runtime nvidia, with which k3s fails to start where there is no
  # container toolkit. k3s finds the toolkit itself and makes the RuntimeClass nvidia.
  cat <<UNIT
# Written by mlops-lifecycle, scripts/bootstrap.sh.
[Unit]
Description=k3s: Kubernetes on this machine
Documentation=https://docs.k3s.io
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
EnvironmentFile=-$UNIT_ENV_FILE
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStart=$BIN_DIR/k3s server --write-kubeconfig-mode $KUBECONFIG_MODE
# Containers outlive a restart of k3s, and k3s manages their cgroups.
KillMode=process
Delegate=yes
Restart=always
RestartSec=5s
TimeoutStartSec=0
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity

[Install]
WantedBy=multi-user.target
UNIT
}

env_line() { # NAME value, quoted as systemd reads it
  local value="$2"
  [[ $value != *$'\n'* ]] || die $E_PREFLIGHT "the environment variable $1 holds a line break; set it to one line."
  value="${value//\\/\\\\}"
  printf '%s="%s"\n' "$1" "${value//\"/\\\"}"
}

# Addresses inside the cluster must not go through the proxy.
proxy_text() {
  local http="${http_proxy:-${HTTP_PROXY:-}}" https="${https_proxy:-${HTTPS_PROXY:-}}"
  local none="${no_proxy:-${NO_PROXY:-}}"
  [[ -n $http$https ]] || return 0
  [[ -z $http ]] || env_line HTTP_PROXY "$http"
  [[ -z $https ]] || env_line HTTPS_PROXY "$https"
  env_line NO_PROXY "${none:+$none,}127.0.0.0/8,10.42.0.0/16,10.43.0.0/16,.svc,.cluster.local"
}

IMAGES_ARCHIVE=""
PROXY_DUE=0  # whether the proxy of this shell has to be written down for k3s
SERVICE=none # what has to be done with the service: restart (files are written first), start, or none

# Compares hashes: in a dry run the file may not be readable, and the list of what
# was installed has its hash.
find_proxy_work() {
  local text
  text="$(proxy_text)" || exit
  # Where this shell has no proxy, because sudo drops it, an earlier one stays.
  [[ -n $text ]] || return 0
  if [[ ! -e $UNIT_ENV_FILE ]]; then
    PROXY_DUE=1
  elif ! is_recorded file "$UNIT_ENV_FILE" || { [[ -r $UNIT_ENV_FILE ]] && ! unchanged file "$UNIT_ENV_FILE"; }; then
    warn "$UNIT_ENV_FILE was changed or put there by somebody else and is left as it is; k3s goes by it and not by" \
      "the proxy of this shell."
  elif [[ "$(sha256_of - <<<"$text")" != "$SEEN_SHA256" ]]; then
    PROXY_DUE=1
  fi
}

# Was the unit written by this script and not changed since, but for other options?
unit_differs() {
  unchanged file "$UNIT_FILE" && [[ "$(unit_text)" != "$(<"$UNIT_FILE")" ]]
}

# The unit is missing when an earlier run broke off.
unit_due() {
  needed k3s || ! is_recorded file "$UNIT_FILE" || [[ ! -f $UNIT_FILE ]] || unit_differs
}

find_service_work() {
  needed k3s || is_recorded binary "$BIN_DIR/k3s" || return 0
  find_proxy_work
  if unit_due || ((PROXY_DUE)) || images_due; then
    SERVICE=restart
  elif ! systemctl is-active --quiet k3s; then
    SERVICE=start
  fi
}

do_service_work() {
  case "$SERVICE" in
    restart)
      require_systemd
      stop_on_faults
      start_k3s
      wait_for_node
      ;;
    start)
      say "k3s: installed but not running; starting it"
      systemctl start --no-block k3s
      wait_for_node
      ;;
    # An earlier run may have ended before the node was ready.
    *) node_ready || wait_for_node ;;
  esac
}

start_k3s() {
  local dir images
  for dir in "${K3S_DIRS[@]}"; do
    [[ -e $dir ]] || is_recorded dir "$dir" || record dir k3s - - "$dir"
  done
  if [[ -n $IMAGES_ARCHIVE ]]; then
    images="$K3S_IMAGES/${IMAGES_ARCHIVE##*/}"
    install -d -m 0755 "$K3S_IMAGES"
    # Renamed once it is complete, because the next run looks for its name alone.
    install -m 0644 "$IMAGES_ARCHIVE" "$images.new"
    mv -f "$images.new" "$images"
  fi
  if ((PROXY_DUE)); then
    proxy_text | put_file k3s 0600 "$UNIT_ENV_FILE"
    say "k3s: the proxy of this shell is given to the service ($UNIT_ENV_FILE)"
  fi
  if unit_due; then
    unit_text | put_file k3s 0644 "$UNIT_FILE"
  fi
  systemctl daemon-reload
  systemctl enable --quiet k3s
  systemctl restart --no-block k3s
}

node_ready() {
  "$BIN_DIR/k3s" kubectl --kubeconfig "$K3S_KUBECONFIG" get nodes --no-headers 2>/dev/null |
    awk '$2 == "Ready" { ready = 1 } END { exit !ready }'
}

wait_for_node() {
  local deadline=$((SECONDS + WAIT_SECONDS))
  say "k3s: started; waiting up to $WAIT_SECONDS s for the node"
  until node_ready; do
    ((SECONDS < deadline)) ||
      die $E_NOT_READY "k3s runs but its node is not ready after $WAIT_SECONDS s. Look at: sudo journalctl -u k3s -n 50" \
        "Then run this again, or take it all back: sudo scripts/bootstrap.sh --uninstall"
    sleep 2
  done
  say "k3s: the node is ready"
}

# --- The definitions -------------------------------------------------------------
#
# kubectl looks every kind up before it sends the first object. On a cluster
# without these, `kubectl apply -f dist` fails once and has to be given again.

DEFINITIONS="" # the file beside this script; empty where the script stands alone

find_definitions() {
  local script="${BASH_SOURCE[0]:-}" file
  # A script that bash reads from a pipe has no path.
  [[ -n $script ]] || return 0
  file="$(cd -- "$(dirname -- "$script")/.." && pwd)/dist/00-crds.yaml"
  [[ ! -r $file ]] || DEFINITIONS="$file"
}

# Does this script apply the definitions?
brings_definitions() {
  [[ -n $DEFINITIONS ]] && { needed k3s || is_recorded binary "$BIN_DIR/k3s"; }
}

bring_definitions() {
  local kubectl=("$BIN_DIR/k3s" kubectl --kubeconfig "$K3S_KUBECONFIG") there
  brings_definitions || return 0
  # Where the cluster has definitions, they are left to whoever installed them.
  there="$("${kubectl[@]}" get -f "$DEFINITIONS" -o name 2>/dev/null)" || true
  [[ -z $there ]] || return 0
  # In the same way as `kubectl apply -f dist`, which then finds them unchanged.
  if ! "${kubectl[@]}" apply -f "$DEFINITIONS" >/dev/null ||
    ! "${kubectl[@]}" wait --for=condition=Established --timeout=60s -f "$DEFINITIONS" >/dev/null; then
    die $E_NOT_READY "the cluster did not take the definitions of $DEFINITIONS, for the reason above. Run this again."
  fi
  say "definitions: the cluster has those of $DEFINITIONS"
}

# --- kubeconfig ----------------------------------------------------------------

KUBECONFIG_HINT=""

# Sets the line that the script prints last: how a terminal is connected to the cluster.
hint_kubeconfig() { # shell path
  case "${1##*/}" in
    fish) KUBECONFIG_HINT="set -gx KUBECONFIG $2" ;;
    *) KUBECONFIG_HINT="export KUBECONFIG=$2" ;;
  esac
}

# Copies k3s's kubeconfig to the person who called sudo. An existing file is not
# changed, because it has that person's other clusters.
give_kubeconfig() {
  local user="${SUDO_USER:-root}" home shell dir target
  home="$(getent passwd "$user" | cut -d: -f6)"
  shell="$(getent passwd "$user" | cut -d: -f7)"
  [[ -n $home ]] ||
    die $E_PREFLIGHT "the user '$user' has no home directory (getent passwd). Copy the file by hand: $K3S_KUBECONFIG"
  dir="$ROOT$home/.kube"
  target="$dir/config"
  if [[ -e $target || -L $target ]] && ! is_recorded kubeconfig "$target"; then
    target="$dir/mlops-lifecycle"
    hint_kubeconfig "$shell" "$home/.kube/mlops-lifecycle"
    if [[ -e $target || -L $target ]] && ! is_recorded kubeconfig "$target"; then
      warn "$target was there before and is left as it is. The cluster's own kubeconfig is $K3S_KUBECONFIG"
      return 0
    fi
  fi
  copy_kubeconfig "$user" "$dir" "$target"
  # A person with other clusters chooses in each shell: a profile that chose this
  # one could send a command to the wrong cluster.
  [[ -n $KUBECONFIG_HINT ]] || name_kubeconfig "$user" "$ROOT$home" "$shell"
}

copy_kubeconfig() { # user dir target
  local user="$1" dir="$2" target="$3"
  # A copy that was changed since (another namespace, a renamed context) belongs to
  # the person and is not overwritten.
  if [[ -e $target ]] && ! unchanged kubeconfig "$target"; then
    return 0
  fi
  if [[ -e $target && "$(sha256_of "$target")" == "$(sha256_of "$K3S_KUBECONFIG")" ]]; then
    return 0
  fi
  if [[ ! -d $dir ]]; then
    install -d -m 0700 "$dir"
    chown "$(id -u "$user"):$(id -g "$user")" "$dir"
  fi
  install -m 0600 "$K3S_KUBECONFIG" "$target.new"
  chown "$(id -u "$user"):$(id -g "$user")" "$target.new"
  record kubeconfig k3s - "$(sha256_of "$target.new")" "$target"
  mv -f "$target.new" "$target"
  say "kubeconfig: written to $target for $user"
  [[ -z $KUBECONFIG_HINT ]] || say "kubeconfig: $dir/config was there before and is untouched"
}

# --- The shell's profile --------------------------------------------------------

readonly PROFILE_MARK="# mlops-lifecycle: the cluster on this machine"
readonly PROFILE_LINE="export KUBECONFIG=\"\$HOME/.kube/config\""
readonly PROFILE_LINE_FISH="set -gx KUBECONFIG \"\$HOME/.kube/config\""

# Adds KUBECONFIG to the profile of the person's shell, unless the profile sets it
# already. A line that the person has removed is not added again. Where a new
# terminal will not use this cluster, the script prints the line to type.
name_kubeconfig() { # user home shell
  local user="$1" home="$2" profile="" line="$PROFILE_LINE" last
  case "${3##*/}" in
    bash) profile="$home/.bashrc" ;;
    zsh) profile="$home/.zshrc" ;;
    fish)
      profile="$home/.config/fish/conf.d/mlops-lifecycle.fish"
      line="$PROFILE_LINE_FISH"
      ;;
    sh | dash | ash | ksh) profile="$home/.profile" ;;
  esac
  last="$(awk '/^[^#]*KUBECONFIG/ { last = $0 } END { print last }' "${profile:-/dev/null}" 2>/dev/null)" || true
  [[ $last != "$line" ]] || return 0
  hint_kubeconfig "$3" "\$HOME/.kube/config"
  if [[ -z $profile ]] || is_recorded profile "$profile"; then
    return 0
  fi
  if [[ -L $profile ]]; then
    say "$profile is a link and is left as it is; add to it, if you like: $line"
    return 0
  fi
  if [[ -n $last ]]; then
    say "$profile sets KUBECONFIG already and is left as it is"
    return 0
  fi
  KUBECONFIG_HINT=""
  record profile k3s - - "$profile"
  # Written as that person, who owns the profile and its folders. A last line
  # without a line break gets one first.
  # shellcheck disable=SC2016
  as_user "$user" bash -c 'umask 022
    mkdir -p "${1%/*}"
    [[ -z "$(tail -c 1 "$1" 2>/dev/null)" ]] || printf "\n" >>"$1"
    printf "%s\n" "$2" "$3" >>"$1"' _ "$profile" "$PROFILE_MARK" "$line"
  say "profile: $profile names the kubeconfig, for shells opened from now on"
}

as_user() { # user command...
  local user="$1"
  shift
  if [[ $user == root ]]; then "$@"; else runuser -u "$user" -- "$@"; fi
}

# Removes the two lines, and the file where it is empty then. Other lines below
# the mark are the person's own and stay.
clean_profile() { # path
  local line before="" found=0 kept=""
  if [[ -f $1 && ! -L $1 ]]; then
    while IFS= read -r line || [[ -n $line ]]; do
      if [[ $line == "$PROFILE_MARK" ]]; then
        found=1
      elif [[ $before != "$PROFILE_MARK" || ($line != "$PROFILE_LINE" && $line != "$PROFILE_LINE_FISH") ]]; then
        kept+="$line"$'\n'
      fi
      before="$line"
    done <"$1"
  fi
  if ((found)); then
    # Overwritten and not replaced, so that the file keeps its owner and mode.
    if [[ -n $kept ]]; then printf '%s' "$kept" >"$1"; else rm -f -- "$1"; fi
    say "removed: the line with KUBECONFIG in $1"
  fi
  forget "$1"
}

# --- Install -------------------------------------------------------------------

print_plan() {
  local tool
  for tool in ${NEEDED[@]+"${NEEDED[@]}"}; do
    describe "$tool"
    if [[ -n $OFFLINE ]]; then
      say "would take $OFFLINE/$FILE"
      say "would check it against $OFFLINE/${SUMS_URL##*/}${PIN:+ and the pinned sha256 $PIN}"
    else
      say "would download $URL"
      say "would check it against $SUMS_URL${PIN:+ and the pinned sha256 $PIN}"
    fi
    [[ -z $MEMBER ]] || say "would take $MEMBER out of it"
    say "would install it as $BIN_DIR/$tool"
  done
  print_service_plan
  if needed k3s; then
    say "would copy $K3S_KUBECONFIG to ~/.kube/config (to ~/.kube/mlops-lifecycle if the former exists)"
    say "would add KUBECONFIG to the profile of your shell"
    [[ -z $DEFINITIONS ]] || say "would apply $DEFINITIONS to the cluster"
  fi
  if ((${#NEEDED[@]} > 0)) || [[ $SERVICE == restart ]]; then
    say "would list what was installed in $MANIFEST"
  fi
}

print_service_plan() {
  local images
  images="$OFFLINE/$(images_name)"
  if needed k3s; then
    [[ -z $OFFLINE ]] || say "would take $images where it is, and check it likewise"
  elif images_due; then
    describe k3s
    say "would take $images and check it against $OFFLINE/${SUMS_URL##*/}"
  fi
  case "$SERVICE" in
    restart)
      ((!PROXY_DUE)) || say "would write the proxy settings to $UNIT_ENV_FILE"
      ! unit_due || say "would write $UNIT_FILE"
      say "would run: systemctl daemon-reload; systemctl enable k3s; systemctl restart k3s"
      ;;
    start) say "would run: systemctl start k3s" ;;
    *) return 0 ;;
  esac
  say "would wait up to $WAIT_SECONDS s for the node"
}

print_next() {
  local folder=dist/laptop twice=""
  selected k3s || return 0
  ((!WOULD_STOP)) || return 0
  [[ $GPU != ready ]] || folder=dist
  brings_definitions || twice="   # twice: the first one brings the definitions that the second one needs"
  say ""
  say "Type next:"
  [[ -z $KUBECONFIG_HINT ]] || say "  $KUBECONFIG_HINT"
  say "  kubectl apply -f $folder$twice"
}

install_all() {
  local tool
  ((DRY_RUN)) || require_root
  # The list of what was installed cannot be read without these two.
  require_tools awk sha256sum
  stop_on_faults
  find_needed
  find_definitions
  ! selected k3s || detect_gpu
  if ((${#NEEDED[@]} > 0)); then
    preflight
  fi
  stop_on_faults
  ! selected k3s || report_gpu
  ! selected k3s || find_service_work

  if ((DRY_RUN)); then
    print_plan
    print_next
    return 0
  fi

  if ((${#NEEDED[@]} > 0)) || images_due; then
    WORK="$(mktemp -d "${TMPDIR:-/tmp}/mlops-lifecycle.XXXXXXXX")"
    # All are downloaded and checked before the first is installed.
    for tool in ${NEEDED[@]+"${NEEDED[@]}"}; do
      obtain "$tool"
    done
    if needed k3s || images_due; then
      obtain_images
    fi
    for tool in ${NEEDED[@]+"${NEEDED[@]}"}; do
      put_binary "$tool"
    done
  fi

  if selected k3s && is_recorded binary "$BIN_DIR/k3s"; then
    do_service_work
    give_kubeconfig
    bring_definitions
    [[ $KUBECONFIG_MODE == 600 ]] ||
      warn "every user of this machine can read $K3S_KUBECONFIG and rule the cluster with it, as" \
        "--kubeconfig-mode 644 asks. Run this again without that option to take it back."
  fi

  ((${#NEEDED[@]} > 0)) || say "Nothing to install."
  print_next
}

# --- Uninstall -----------------------------------------------------------------

# Prints the process ids of k3s's container shims and of everything below them.
container_processes() {
  ps -e -o pid= -o ppid= -o args= | awk -v data="$K3S_DATA/data/" '
    { parent[$1] = $2
      if (index($3, data) == 1 && $3 ~ /\/containerd-shim[^\/]*$/) doomed[$1] = 1 }
    END {
      do {
        grew = 0
        for (pid in parent)
          if (!(pid in doomed) && (parent[pid] in doomed)) { doomed[pid] = 1; grew = 1 }
      } while (grew)
      for (pid in doomed) print pid
    }'
}

# Prints the mount points below k3s's directories, deepest first. A directory that
# is a mount point itself (a separate disk for the data) is not one of them.
k3s_mounts() {
  local path dir
  while read -r _ path _; do
    for dir in "${K3S_DIRS[@]/%//}" "$ROOT/run/netns/cni-"; do
      if [[ $path == "$dir"* ]]; then
        printf '%s\n' "$path"
      fi
    done
  done <"$ROOT/proc/mounts" | sort -ru
}

remove_network() {
  local link save restore
  if have ip; then
    while read -r link; do
      ip link delete "$link" 2>/dev/null || true
    done < <(ip -o link show 2>/dev/null | awk '
      { name = $2; sub(/[@:].*/, "", name) }
      / master cni0 / || name ~ /^(cni0|flannel\.1|flannel-v6\.1|flannel-wg|flannel-wg-v6|kube-ipvs0)$/ { print name }')
    while read -r link; do
      ip netns delete "$link" 2>/dev/null || true
    done < <(ip netns list 2>/dev/null | awk '$1 ~ /^cni-/ { print $1 }')
  fi
  # These rules would still send ports 80 and 443 to pods that no longer exist.
  for save in iptables-save ip6tables-save; do
    restore="${save%-save}-restore"
    if have "$save" && have "$restore" && "$save" >"$WORK/rules" 2>/dev/null && grep -qE 'KUBE-|CNI-|flannel' "$WORK/rules"; then
      grep -vE 'KUBE-|CNI-|flannel' "$WORK/rules" | "$restore" ||
        warn "$restore refused the cleaned rules; those of k3s stay until the next boot."
    fi
  done
}

uninstall_k3s() {
  local dir path pids still
  systemctl disable --now k3s 2>/dev/null || true
  pids="$(container_processes)"
  if [[ -n $pids ]]; then
    # Word splitting is wanted: one word per process id.
    # shellcheck disable=SC2086
    kill -9 $pids 2>/dev/null || true
    sleep 1
  fi
  while read -r path; do
    [[ -n $path ]] || continue
    # The kernel writes a space in a path as \040.
    path="$(printf '%b' "${path//\\0/\\00}")"
    umount "$path" 2>/dev/null || umount -f "$path" 2>/dev/null || umount -l "$path" 2>/dev/null || true
  done < <(k3s_mounts)
  still="$(k3s_mounts)"
  # Deleting below a mount would delete what is mounted there.
  [[ -z $still ]] ||
    die $E_NOT_READY "could not unmount: ${still//$'\n'/ }. k3s is stopped, nothing was deleted. Close what uses them" \
      "(sudo fuser -vm PATH) or reboot, then run --uninstall again."
  remove_network

  for path in "$UNIT_FILE" "$UNIT_ENV_FILE"; do
    remove_recorded file "$path"
  done
  systemctl daemon-reload
  systemctl reset-failed k3s 2>/dev/null || true
  for dir in "${K3S_DIRS[@]}"; do
    if is_recorded dir "$dir"; then
      rm -rf --one-file-system -- "$dir"
      forget "$dir"
    elif [[ -e $dir ]]; then
      say "left: $dir was there before k3s"
    fi
  done
  # Parents that k3s made, which are removed only where they are empty.
  rmdir "$ROOT/etc/rancher" "$ROOT/var/lib/rancher" 2>/dev/null || true
  while read -r path; do
    [[ -n $path ]] || continue
    remove_recorded kubeconfig "$path"
    rmdir "${path%/*}" 2>/dev/null || true
  done < <(awk -F '\t' '$1 == "kubeconfig" { print $5 }' "$MANIFEST")
  while read -r path; do
    [[ -z $path ]] || clean_profile "$path"
  done < <(awk -F '\t' '$1 == "profile" { print $5 }' "$MANIFEST")
}

# Removes a file that is unchanged since it was recorded. A changed file stays.
remove_recorded() { # kind path
  is_recorded "$1" "$2" || return 0
  if [[ ! -e $2 ]]; then
    :
  elif unchanged "$1" "$2"; then
    rm -f -- "$2"
    say "removed: $2"
  else
    warn "$2 was changed since it was installed; it stays. Remove it by hand if it is not wanted."
  fi
  forget "$2"
}

uninstall_all() {
  local answer paths=() path tool
  ((DRY_RUN)) || require_root
  require_tools awk sha256sum
  stop_on_faults
  if [[ ! -s $MANIFEST ]]; then
    say "Nothing to remove: $MANIFEST lists nothing that this script installed."
    return 0
  fi
  for tool in "${SELECTED[@]}"; do
    while read -r path; do
      paths+=("$path")
    done < <(awk -F '\t' -v tool="$tool" '$2 == tool { print $5 }' "$MANIFEST")
  done
  if ((${#paths[@]} == 0)); then
    say "Nothing to remove: of ${SELECTED[*]}, this script installed none."
    return 0
  fi

  say "To be removed:"
  printf '  %s\n' "${paths[@]}"
  if selected k3s && grep -q $'^[a-z]*\tk3s\t' "$MANIFEST"; then
    say "With k3s goes the cluster: every workload, and every volume under /var/lib/rancher/k3s."
  fi
  if ((DRY_RUN)); then
    say "would ask, stop k3s and its containers, unmount, remove its network interfaces, then remove the above"
    return 0
  fi
  if ((!ASSUME_YES)); then
    printf 'Type yes to remove them: '
    read -r answer || answer=""
    [[ $answer == yes ]] || die $E_DECLINED "not confirmed (the answer was '$answer'); nothing was removed. Answer yes, or give --yes."
  fi

  if selected k3s && grep -q $'^[a-z]*\tk3s\t' "$MANIFEST"; then
    require_tools ps umount
    stop_on_faults
    WORK="$(mktemp -d "${TMPDIR:-/tmp}/mlops-lifecycle.XXXXXXXX")"
    uninstall_k3s
  fi
  for tool in "${SELECTED[@]}"; do
    remove_recorded binary "$BIN_DIR/$tool"
  done
  if [[ ! -s $MANIFEST ]]; then
    rm -f -- "$MANIFEST"
    rmdir "$STATE_DIR" 2>/dev/null || true
  fi
  say "Removed."
}

# --- Main ----------------------------------------------------------------------

main() {
  parse_options "$@"
  trap cleanup EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'printf "error: line %s: a command failed: %s\n" "$LINENO" "$BASH_COMMAND" >&2' ERR
  detect_machine
  if ((UNINSTALL)); then
    uninstall_all
  else
    install_all
  fi
}

main "$@"
