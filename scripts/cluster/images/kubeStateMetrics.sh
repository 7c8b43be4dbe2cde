# shellcheck shell=bash disable=SC2034,SC2154
# On nothing but a list of users, for want of the distroless base of the published image.

names=("$(published kubeStateMetrics)")
inputs=("$(gosource kube-state-metrics k8s.io/kube-state-metrics/v2@v2.20.0 . \
  '-X github.com/prometheus/common/version.Version=v2.20.0')")
config='{"Entrypoint": ["/kube-state-metrics", "--port=8080", "--telemetry-port=8081"], "User": "nobody",
         "ExposedPorts": {"8080/tcp": {}, "8081/tcp": {}}}'

fill() {
  install -t "$1" "${inputs[0]}"
  mkdir "$1/etc"
  echo 'nobody:x:65534:65534:nobody:/:/sbin/nologin' > "$1/etc/passwd"
}
