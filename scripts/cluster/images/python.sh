# shellcheck shell=bash disable=SC2034,SC2154
# CPython and uv. The published image has CPython 3.12; Debian has 3.11.

names=("$(published python)")
from=python3
inputs=("$(uv)")
config='{"Env": ["PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "UV_TOOL_BIN_DIR=/usr/local/bin"],
         "Cmd": ["/usr/local/bin/uv"]}'

fill() {
  install -D -t "$1/usr/local/bin" "${inputs[0]}" "${inputs[0]}x"
}
