# shellcheck shell=bash disable=SC2034,SC2154

names=(localhost/coredns:1)
inputs=("$(kube coredns)")
config='{"Entrypoint": ["/coredns"]}'

fill() {
  install -t "$1" "${inputs[0]}"
}
