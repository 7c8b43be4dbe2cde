# shellcheck shell=bash disable=SC2034,SC2154
# Debian's Python 3.11 where the official images have theirs: in /usr/local/bin.

from=debian

fill() {
  debs "$1" python3
  /usr/bin/python3 -m compileall -q --invalidation-mode unchecked-hash -s "$1" "$1/usr/lib/python3.11" "$1/usr/lib/python3"
  mkdir -p "$1"/usr/local/{bin,lib/python3.11}
  # Debian's Python looks for what is installed in dist-packages alone.
  ln -s site-packages "$1/usr/local/lib/python3.11/dist-packages"
  ln -s /usr/bin/python3 "$1/usr/local/bin/python3"
  ln -s /usr/bin/python3 "$1/usr/local/bin/python"
}
