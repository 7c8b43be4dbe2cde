# shellcheck shell=bash disable=SC2034,SC2154
# The Go proxy has no later version than 0.19.1; the published tag is 0.20.1.

names=("$(published postgresExporter)")
from=busybox
inputs=("$(gosource postgres_exporter github.com/prometheus-community/postgres_exporter@v0.19.1 ./cmd/postgres_exporter \
  '-X github.com/prometheus/common/version.Version=0.19.1')")
config='{"Entrypoint": ["/bin/postgres_exporter"], "User": "nobody", "ExposedPorts": {"9187/tcp": {}}}'

fill() {
  install -D -t "$1/bin" "${inputs[0]}"
}
