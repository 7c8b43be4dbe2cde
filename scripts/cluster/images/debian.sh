# shellcheck shell=bash disable=SC2034,SC2154
# What the Debian images stand on: no package beyond the essential ones and the certificates.

fill() {
  need mmdebstrap
  mmdebstrap --quiet --variant=minbase --include=ca-certificates \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    bookworm - | tar -xp --exclude='./dev/*' -C "$1"
  rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*
}
