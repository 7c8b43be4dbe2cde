#!/bin/bash
# Prints the folder of Triton's real ONNX Runtime backend, compiled once from SOURCES, whose `build.sh FOLDER` fills a
# folder with libtriton_onnxruntime.so and libonnxruntime.so.1. README.md says what SOURCES are.
#
#   export ONNXRUNTIME_BACKEND=$(scripts/cluster/onnxruntime-backend.sh SOURCES)
. "$(dirname "$0")/lib.sh"

[ -f "${1:-}/build.sh" ] || die "usage: onnxruntime-backend.sh SOURCES: a folder with build.sh, got '${1:-}'"
sources=$(cd "$1" && pwd)

compile() {
  need g++ make rapidjson-dev
  bash "$sources/build.sh" "$1" > "$1/log" 2>&1 || { cat "$1/log" >&2; return 1; }
}

artifact triton/onnxruntime-backend "$(hash "$(cd "$sources" && find . -type f -print0 | sort -z | xargs -0 sha256sum)" "$(declare -f compile)")" compile
