# shellcheck shell=bash disable=SC2034,SC2154
# CPython and uv. The published image has CPython 3.12; Debian has 3.11. A node
# has no way out, so what steps and sidecars install lies in /wheels, and uv is
# told to look nowhere else: what it runs and checks is what it would anywhere.

# wheelhouse: the folder with the wheels of the locks in python/, for this platform.
wheelhouse() {
  local locks=(../../python/requirements-steps.txt ../../python/requirements-sidecar.txt)
  artifact bin/wheels "$(hash "$(contents "${locks[@]}")" "$(declare -f from_locks)")" from_locks "${locks[@]}"
}

from_locks() {
  need python3 python3-pip
  local lock
  for lock in "${@:2}"; do
    /usr/bin/python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
      --only-binary :all: --dest "$1" -r "$here/$lock"
  done
}

names=("$(published python)")
from=python3
inputs=("$(uv)" "$(wheelhouse)")
config='{"Env": ["PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "UV_TOOL_BIN_DIR=/usr/local/bin"],
         "Cmd": ["/usr/local/bin/uv"]}'

fill() {
  install -D -t "$1/usr/local/bin" "${inputs[0]}" "${inputs[0]}x"
  install -m 644 -D -t "$1/wheels" "${inputs[1]}"/*.whl
  # No variable says so to uv; this file does.
  install -m 644 -D "$here/images/python.uv.toml" "$1/etc/uv/uv.toml"
}
