# shellcheck shell=bash disable=SC2154
# Images without a registry: layers, and the store that a node starts with. Sourced after binaries.sh.
#
# images/NAME.sh describes one image:
#   names     names in the cluster; without any it is only a layer that others build on
#   from      the NAME of the layer below; without it, this is the lowest layer
#   inputs    built programs that go in; they are part of the layer's key
#   config    the OCI config: Entrypoint, Cmd, Env, User, StopSignal, Volumes …
#   fill      a function that puts files under its argument
# Files images/NAME.* beside it are part of the layer's key too.

define() {
  names=() inputs=() from='' config='{}'
  fill() { :; }
  # shellcheck source=/dev/null
  source "$here/images/$1.sh"
}

# published KEY: the name that lib/kubernetes/images.ts gives the image.
published() {
  local name
  name=$(sed -n "s/^  $1: '\(.*\)',\$/\1/p" "$here/../../lib/kubernetes/images.ts")
  [ -n "$name" ] || die "lib/kubernetes/images.ts has no image '$1'"
  echo "$name"
}

# layer NAME: the folder with its layer.tar and its `digest`. `store` looks for each layer only once.
layer() {
  if [ -z "${memo:-}" ]; then find_layer "$1"; return; fi
  [ -s "$memo/$1" ] || find_layer "$1" > "$memo/$1"
  cat "$memo/$1"
}

find_layer() (
  define "$1"
  files=("$here/images/$1".*)
  base=''
  if [ -n "$from" ]; then base=$(layer "$from"); fi
  helpers=$(declare -f make_layer below debs wheels)
  key=$(hash "$helpers" "$(contents "${files[@]#"$here/"}")" "${inputs[*]#"$cache/"}" "${base#"$cache/"}")
  artifact "layer/$1" "$key" make_layer "$1"
)

make_layer() {
  define "$2"
  mkdir "$1/root"
  fill "$1/root"
  tar --numeric-owner --sort=name --mtime=@0 --exclude='./dev/*' -C "$1/root" -cf "$1/layer.tar" .
  sha256sum "$1/layer.tar" | cut -c1-64 > "$1/digest"
  rm -rf "$1/root"
}

# below PATH: a file of the debian layer.
below() { tar -xOf "$(layer debian)/layer.tar" "./$1"; }

# debs ROOT PACKAGE...: unpacks packages and what they need beyond the debian
# layer. Maintainer scripts do not run; the image's own file has to do what they
# would have done.
debs() {
  local root=$1 work deb
  shift
  work=$(mktemp -d)
  mkdir -p "$work/partial"
  below var/lib/dpkg/status > "$work/status"
  apt -o Dir::State::status="$work/status" -o Dir::Cache::archives="$work" -o Debug::NoLocking=1 \
    --no-install-recommends --download-only -y install "$@"
  # Links, because /usr is merged: a real /lib in this layer would hide the one below.
  for deb in bin lib lib64 sbin; do mkdir -p "$root/usr/$deb" && ln -sfn "usr/$deb" "$root/$deb"; done
  for deb in "$work"/*.deb; do dpkg-deb --fsys-tarfile "$deb" | tar -xp --keep-directory-symlink -C "$root"; done
  rm -rf "$work" "$root"/usr/share/{doc,man,locale,info,lintian}
}

# uv: the path of the Python installer that images/uv.txt pins.
uv() {
  local folder
  folder=$(artifact bin/uv "$(hash "$(contents images/uv.txt)" "$(declare -f from_pypi)")" from_pypi)
  echo "$folder/bin/uv"
}

from_pypi() {
  need python3 python3-pip
  /usr/bin/python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --require-hashes --target "$1" -r "$here/images/uv.txt"
}

# wheels ROOT REQUIREMENTS: installs requirements with hashes for Debian's Python.
# Bytecode is compiled now and is never compared with its source, because Python
# could not write it again on a read-only root.
wheels() {
  PYC_INVALIDATION_MODE=UNCHECKED_HASH "$(uv)" pip install --quiet --python /usr/bin/python3 --no-deps --require-hashes \
    --compile-bytecode --link-mode copy --prefix "$1/usr/local" -r "$2"
}

# image NAME: one line of JSON for oci.py. Nothing for a layer without a name in the cluster.
image() (
  define "$1"
  [ ${#names[@]} -gt 0 ] || exit 0
  layers=''
  for name in $(chain "$1"); do layers+="\"$(layer "$name")\","; done
  printf -v quoted '"%s",' "${names[@]}"
  printf '{"names": [%s], "layers": [%s], "config": %s}\n' "${quoted%,}" "${layers%,}" "${config//$'\n'/ }"
)

# chain NAME: the layers of an image, lowest first.
chain() (
  define "$1"
  if [ -n "$from" ]; then chain "$from"; fi
  echo "$1"
)

all_images() {
  local file
  for file in "$here"/images/*.sh; do basename "$file" .sh; done
}

# store: the folder of a containerd that has unpacked every image. A node starts
# from it in the same time, however large the images are.
store() (
  need containerd runc
  memo=$(mktemp -d)
  trap 'rm -rf "$memo"' EXIT
  images=''
  for name in $(all_images); do images+="$(image "$name")"$'\n'; done
  artifact store/images "$(hash "$images" "$(contents oci.py)" "$(declare -f fill_store)" "$(containerd --version)")" fill_store "$images"
)

fill_store() {
  local run previous database status=0
  run=$(mktemp -d)
  # Layers of the last store are linked and not unpacked again. Its databases are copied.
  previous=$(find "${1%/*}" -mindepth 1 -maxdepth 1 -name 'images-????????????' -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2)
  if [ -n "$previous" ]; then
    cp -al "$previous/." "$1"
    find "$previous" -name '*.db' -printf '%P\n' | while read -r database; do cp --remove-destination "$previous/$database" "$1/$database"; done
  fi
  # No garbage collection before the last step below, because the layers of removed images are used again.
  cat > "$run/config.toml" << END
version = 2
root = "$1"
state = "$run/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
address = "$run/socket"
[plugins."io.containerd.gc.v1.scheduler"]
startup_delay = "24h"
mutation_threshold = 1000000
END
  echo "$2" > "$run/images"
  # In namespaces of its own, so that no mount and no daemon remains.
  # shellcheck disable=SC2016
  CONTAINERD_ADDRESS=$run/socket CONTAINERD_NAMESPACE=k8s.io unshare --mount --pid --fork --kill-child --mount-proc bash -euo pipefail -c '
    containerd --config "$1/config.toml" > "$1/log" 2>&1 &
    for _ in {1..100}; do [ -S "$1/socket" ] && break; sleep 0.1; done
    mkdir -p "$3/io.containerd.content.v1.content/blobs/sha256"
    ctr images ls -q | xargs -r ctr images rm
    python3 "$2/oci.py" "$3" < "$1/images" | ctr images import -
    ctr images tag localhost/pause:1 localhost/none:1
    ctr images rm --sync localhost/none:1
    kill %1
    wait %1 || true
  ' _ "$run" "$here" "$1" > /dev/null || { status=$?; cat "$run/log" >&2; }
  rm -rf "$run"
  return $status
}
