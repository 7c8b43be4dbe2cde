# shellcheck shell=bash disable=SC2034,SC2154

names=("$(published statsdExporter)")
from=busybox
inputs=("$(gobin statsd_exporter github.com/prometheus/statsd_exporter@v0.28.0 '-X github.com/prometheus/common/version.Version=0.28.0')")
config='{"Entrypoint": ["/bin/statsd_exporter"], "User": "65534", "ExposedPorts": {"9102/tcp": {}, "9125/udp": {}}}'

fill() {
  install -D -t "$1/bin" "${inputs[0]}"
}
