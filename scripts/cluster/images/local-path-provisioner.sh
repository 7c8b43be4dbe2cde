# shellcheck shell=bash disable=SC2034,SC2154
# The provisioner that k3s ships.

names=(localhost/local-path-provisioner:1)
inputs=("$(kube local-path-provisioner)")
config='{"Entrypoint": ["/local-path-provisioner"]}'

fill() {
  install -t "$1" "${inputs[0]}"
}
