# shellcheck shell=bash disable=SC2034,SC2154
# What holds a pod's namespaces.

names=(localhost/pause:1)
config='{"Entrypoint": ["/pause"]}'

fill() {
  gcc -Os -static -s -o "$1/pause" "$here/images/pause.c"
}
