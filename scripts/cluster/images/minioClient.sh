# shellcheck shell=bash disable=SC2034,SC2154
# MinIO's client. The Go proxy has no later commit than this one of March 2025; the published tag is of August.

names=("$(published minioClient)")
from=busybox # The published image has a shell too.
inputs=("$(gobin mc github.com/minio/mc@v0.0.0-20250313080218-cf909e1063a9)")
config='{"Entrypoint": ["mc"]}'

fill() {
  install -D -t "$1/usr/bin" "${inputs[0]}"
}
