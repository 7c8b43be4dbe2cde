#!/bin/bash
# Builds what the cluster is made of. See usage.
. "$(dirname "$0")/lib.sh"
. "$here/binaries.sh"
. "$here/images.sh"

usage() {
  cat << END
usage: build.sh               every program and image that is not built yet
       build.sh NAME...       only these: hyperkube, or images: $(all_images | xargs)
       build.sh lock NAME     writes images/NAME.txt anew: what images/NAME.in resolves to today
       build.sh prune         removes from the cache what nothing has used for a week

The cache is $cache (MLOPS_CACHE).
END
}

everything() {
  kube hyperkube
  kube netpol
  store
}

# By age and not by need, because other checkouts share the cache.
prune() {
  local folder
  find "$cache"/{bin,layer,pki,store} -mindepth 1 -maxdepth 1 -mtime +7 | while read -r folder; do
    say "removing ${folder#"$cache/"}"
    rm -rf "$folder"
  done
}

# Only the hashes of this platform's wheels: with those of every platform the file would be ten times as long.
lock() {
  need python3 python3-pip
  /usr/bin/python3 -m pip install --quiet --disable-pip-version-check --dry-run --ignore-installed --only-binary :all: --report - -r "$here/images/$1.in" |
    python3 -c 'import json, sys
for each in sorted(json.load(sys.stdin)["install"], key=lambda each: each["metadata"]["name"].lower()):
    print("{name}=={version}".format(**each["metadata"]), "--hash=sha256:" + each["download_info"]["archive_info"]["hashes"]["sha256"])' \
      > "$here/images/$1.txt"
}

case ${1:-} in
  lock) lock "$2" ;;
  -h | --help) usage ;;
  prune) prune ;;
  '') everything ;;
  *)
    for name; do
      if [ "$name" = hyperkube ]; then kube hyperkube; else layer "$name"; fi
    done
    ;;
esac
