# shellcheck shell=bash disable=SC2034,SC2154

names=("$(published configReloader)")
from=busybox
inputs=("$(gotool go/prometheus-operator github.com/prometheus-operator/prometheus-operator/cmd/prometheus-config-reloader \
  '-X github.com/prometheus/common/version.Version=0.85.0')")
config='{"Entrypoint": ["/bin/prometheus-config-reloader"], "User": "nobody"}'

fill() {
  install -D -t "$1/bin" "${inputs[0]}"
}
