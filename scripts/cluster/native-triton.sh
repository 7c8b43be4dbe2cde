#!/bin/bash
# Prints the folder of the suite's Triton that runs on this machine as it is, without a container: the same files as
# the image's. `FOLDER/tritonserver ARG...` starts it. Built once, in the cache.
. "$(dirname "$0")/lib.sh"
. "$here/binaries.sh"
. "$here/images.sh"

native() {
  tar -xf "$2/layer.tar" -C "$1" ./opt/tritonserver ./usr/local/lib/python3.11/site-packages ./usr/lib/x86_64-linux-gnu
  mkdir -p "$1"/environment/{bin,lib/python3.11}
  # A virtual environment by hand: that Python, with the image's packages and no others.
  ln -s /usr/bin/python3 "$1/environment/bin/python3"
  echo 'home = /usr/bin' > "$1/environment/pyvenv.cfg"
  mv "$1/usr/local/lib/python3.11/site-packages" "$1/environment/lib/python3.11/"
  # Debian's other libraries are this machine's own.
  mv "$1"/usr/lib/x86_64-linux-gnu/{libpython3.11.so.1*,libjemalloc.so.2} "$1/opt/tritonserver/lib/"
  rm -rf "${1:?}/usr"
  cat > "$1/tritonserver" << 'END'
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
# As in its pod: lib/serving/triton.ts says why another allocator.
PATH=$here/environment/bin:/usr/bin:/bin LD_LIBRARY_PATH=$here/opt/tritonserver/lib LD_PRELOAD=libjemalloc.so.2 \
  exec "$here/opt/tritonserver/bin/tritonserver" --backend-directory="$here/opt/tritonserver/backends" "$@"
END
  chmod 755 "$1/tritonserver"
}

need python3
image=$(layer triton)
artifact triton/native "$(hash "$(declare -f native)" "${image#"$cache/"}")" native "$image"
