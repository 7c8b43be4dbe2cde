# shellcheck shell=bash disable=SC2034,SC2154
# Triton for CPUs, 2.51, out of a PyPI package; the published image is 2.75. It has the Python backend only: a
# stand-in on it, triton.onnxruntime_backend.py, serves what the ONNX Runtime backend would.

names=("$(published triton)")
from=python3
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
  install -D -m 644 "$here/images/triton.onnxruntime_backend.py" "$server/backends/onnxruntime/model.py"
  { below etc/passwd; echo 'triton-server:x:1000:1000::/home/triton-server:/bin/bash'; } > "$1/etc/passwd"
  { below etc/group; echo 'triton-server:x:1000:'; } > "$1/etc/group"
  install -d -m 755 -o 1000 -g 1000 "$1/home/triton-server"
}
