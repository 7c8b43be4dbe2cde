#!/bin/bash
# Prints the folder of a fresh Debian with systemd, for the tests of bootstrap.sh; builds it the first time.
. "$(dirname "$0")/../cluster/lib.sh"

packages=ca-certificates,curl,iproute2,iptables,procps,sudo,systemd,systemd-sysv

fresh_debian() {
  need mmdebstrap
  mmdebstrap --quiet --variant=minbase --include="$2" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    bookworm - | tar -xp --exclude='./dev/*' -C "$1"
  rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*
}

artifact bootstrap/root "$(hash "$(declare -f fresh_debian)" "$packages")" fresh_debian "$packages"
