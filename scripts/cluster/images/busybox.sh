# shellcheck shell=bash disable=SC2034,SC2154
# BusyBox 1.35 with its default configuration. Debian's own build is another:
# its wget crashes on -T, and its nc has no -z.

compile_busybox() {
  need bzip2 gcc libc6-dev make
  local work sources=/etc/apt/sources.list.d/debian.sources where
  work=$(mktemp -d)
  # The machine's own mirrors, asked for sources: Debian keeps upstream's archive as it is.
  mkdir -p "$work"/{sources,lists/partial}
  [ -e $sources ] || sources=/etc/apt/sources.list
  sed 's/^Types: deb$/Types: deb-src/; s/^deb /deb-src /' $sources > "$work/sources/${sources##*/}"
  where=(-o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/sources" -o Dir::State::lists="$work/lists")
  cd "$work" || return
  apt "${where[@]}" update
  apt "${where[@]}" --download-only source busybox
  tar -xf busybox_*.orig.tar.bz2
  make --quiet --directory busybox-*/ defconfig > /dev/null
  make --quiet --directory busybox-*/ --jobs "$(nproc)" busybox > /dev/null 2>&1
  cp busybox-*/busybox "$1/"
  rm -rf "$work"
}

names=(docker.io/library/busybox:1.36.1 localhost/busybox:1)
inputs=("$(artifact bin/busybox "$(hash "$(declare -f compile_busybox)")" compile_busybox)/busybox")
config='{"Cmd": ["sh"]}'

fill() {
  local library applet
  mkdir -p "$1"/{dev,etc,proc,root,tmp,usr/bin,var}
  chmod 1777 "$1/tmp"
  install -D -t "$1/bin" "${inputs[0]}"
  for library in $(ldd "${inputs[0]}" | grep -o '/[^ ]*'); do install -D "$library" "$1$library"; done
  for applet in $("${inputs[0]}" --list); do [ "$applet" = busybox ] || ln -s busybox "$1/bin/$applet"; done
  ln -s /bin/env "$1/usr/bin/env"
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' > "$1/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' > "$1/etc/group"
}
