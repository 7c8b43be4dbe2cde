# shellcheck shell=bash disable=SC2034,SC2154
# Prometheus without its pages, which the module lacks, and with no service discovery but that of Kubernetes.

names=("$(published prometheus)")
from=busybox
for program in prometheus promtool; do
  inputs+=("$(gosource $program github.com/prometheus/prometheus@v0.314.0 ./cmd/$program \
    '-X github.com/prometheus/common/version.Version=3.14.0' remove_all_sd,enable_kubernetes_sd,netgo)")
done
config='{"Entrypoint": ["/bin/prometheus"], "User": "nobody", "WorkingDir": "/prometheus",
         "Cmd": ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"],
         "Volumes": {"/prometheus": {}}, "ExposedPorts": {"9090/tcp": {}}}'

fill() {
  install -D -t "$1/bin" "${inputs[@]}"
  install -d -m 775 -o 65534 -g 65534 "$1"/{,etc/}prometheus
  echo 'global: {}' > "$1/etc/prometheus/prometheus.yml"
}
