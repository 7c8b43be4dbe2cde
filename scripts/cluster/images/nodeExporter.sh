# shellcheck shell=bash disable=SC2034,SC2154

names=("$(published nodeExporter)")
from=busybox
inputs=("$(gobin node_exporter github.com/prometheus/node_exporter@v1.12.1 '-X github.com/prometheus/common/version.Version=1.12.1')")
config='{"Entrypoint": ["/bin/node_exporter"], "User": "nobody", "ExposedPorts": {"9100/tcp": {}}}'

fill() {
  install -D -t "$1/bin" "${inputs[0]}"
}
