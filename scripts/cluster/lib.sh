# shellcheck shell=bash
# Sourced by every script here: the cache outside the work tree, and artifacts in it.

set -euo pipefail
shopt -s inherit_errexit nullglob

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${MLOPS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mlops-lifecycle}

say() { printf '%s %s\n' "$(date +%T)" "$*" >&2; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# hash TEXT...: twelve digits that change when any TEXT changes.
hash() { printf '%s\0' "$@" | sha256sum | cut -c1-12; }

# contents FILE...: names and checksums of files and folders, given relative to this folder.
contents() (cd "$here" && find "$@" -type f -print0 | sort -z | xargs -0 sha256sum)

# artifact NAME HASH BUILDER [ARG...]: prints the folder NAME-HASH of the cache.
# Where it is missing, `BUILDER FOLDER ARG...` fills a folder beside it, which is
# then renamed, so that an interrupted build leaves no incomplete folder.
artifact() {
  local folder=$cache/$1-$2 builder=$3 began=$EPOCHSECONDS
  shift 3
  mkdir -p "${folder%/*}" "$cache/locks"
  (
    exec 9> "$cache/locks/${folder##*/}"
    flock 9 # The second of two runs waits, and finds what the first one built.
    if [ ! -d "$folder" ]; then
      say "building ${folder#"$cache/"}"
      rm -rf "$folder.part"
      mkdir "$folder.part"
      trap 'say "FAILED ${folder#"$cache/"}"' EXIT
      "$builder" "$folder.part" "$@" 9>&-
      trap - EXIT
      mv "$folder.part" "$folder"
      say "   built ${folder#"$cache/"} in $((EPOCHSECONDS - began)) s, $(du -sh "$folder" | cut -f1)"
    fi
  ) >&2
  touch "$folder" # `build.sh prune` removes folders by this time.
  echo "$folder"
}

# apt ARG...: apt-get, which fetches the package lists again where it fails. Only one runs at a time, because apt-get
# waits for another one's installation, but not for its update of the lists.
apt() (
  get=(apt-get -qq -o DPkg::Lock::Timeout=600 -o APT::Sandbox::User=root)
  export DEBIAN_FRONTEND=noninteractive
  mkdir -p "$cache/locks"
  exec 7> "$cache/locks/apt"
  flock 7
  "${get[@]}" "$@" > /dev/null 2>&1 7>&- || { "${get[@]}" update 7>&- && "${get[@]}" "$@" > /dev/null 7>&-; }
)

# need PACKAGE...: installs those Debian packages that this machine lacks.
need() {
  local package missing=()
  for package; do
    dpkg-query -Wf '${Status}' "$package" 2> /dev/null | grep -q '^install ok' || missing+=("$package")
  done
  [ ${#missing[@]} = 0 ] || { say "installing ${missing[*]}" && apt install -y --no-install-recommends "${missing[@]}"; }
}
