# shellcheck shell=bash disable=SC2034,SC2154
# Triton for CPUs, 2.51, out of a PyPI package; the published image is 2.75. It has the Python backend only. The ONNX
# Runtime backend is the compiled one where ONNXRUNTIME_BACKEND names its folder; elsewhere a stand-in on the Python
# backend, triton.onnxruntime_backend.py, serves what it would.

names=("$(published triton)")
from=python3

# Part of the layer's key: which backend it is, by content.
onnxruntime_backend() {
  local library
  for library in libtriton_onnxruntime.so libonnxruntime.so.1; do
    [ -f "$ONNXRUNTIME_BACKEND/$library" ] || die "ONNXRUNTIME_BACKEND must name a folder with $library, got '$ONNXRUNTIME_BACKEND'"
  done
  echo "onnxruntime-backend-$(cat "$ONNXRUNTIME_BACKEND"/lib{triton_onnxruntime.so,onnxruntime.so.1} | sha256sum | cut -c1-12)"
}

if [ -n "${ONNXRUNTIME_BACKEND:-}" ]; then inputs=("$(onnxruntime_backend)"); fi
config='{"WorkingDir": "/opt/tritonserver",
         "Env": ["PATH=/opt/tritonserver/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8",
                 "LD_LIBRARY_PATH=/opt/tritonserver/lib"]}'

fill() {
  local server=$1/opt/tritonserver packages=$1/usr/local/lib/python3.11/site-packages
  # The published image has jemalloc too.
  debs "$1" libpython3.11 libjemalloc2
  wheels "$1" "$here/images/triton.txt"
  mkdir -p "$1"/{etc,opt}
  mv "$packages/pytriton/tritonserver" "$server"
  mv "$packages/nvidia_pytriton.libs" "$server/lib"
  # Which Python's backend, is chosen by the path.
  mv "$server/python_backend_stubs/3.11/triton_python_backend_stub" "$server/backends/python/"
  rm -rf "$packages"/{,nvidia_}pytriton* "$server/python_backend_stubs" "$server"/lib/libpython3-*
  chmod 755 "$server/bin/tritonserver" "$server/backends/python/triton_python_backend_stub"
  # A folder of this name is what makes a backend.
  if [ -n "${ONNXRUNTIME_BACKEND:-}" ]; then
    install -D -m 755 -t "$server/backends/onnxruntime" "$ONNXRUNTIME_BACKEND"/lib{triton_onnxruntime.so,onnxruntime.so.1}
  else
    install -D -m 644 "$here/images/triton.onnxruntime_backend.py" "$server/backends/onnxruntime/model.py"
  fi
  { below etc/passwd; echo 'triton-server:x:1000:1000::/home/triton-server:/bin/bash'; } > "$1/etc/passwd"
  { below etc/group; echo 'triton-server:x:1000:'; } > "$1/etc/group"
  install -d -m 755 -o 1000 -g 1000 "$1/home/triton-server"
}
