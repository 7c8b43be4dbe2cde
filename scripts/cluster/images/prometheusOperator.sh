# shellcheck shell=bash disable=SC2034,SC2154

names=("$(published prometheusOperator)")
from=busybox
inputs=("$(gotool go/prometheus-operator github.com/prometheus-operator/prometheus-operator/cmd/operator \
  '-X github.com/prometheus/common/version.Version=0.85.0')")
config='{"Entrypoint": ["/bin/operator"], "User": "65534"}'

fill() {
  install -D -t "$1/bin" "${inputs[0]}"
}
