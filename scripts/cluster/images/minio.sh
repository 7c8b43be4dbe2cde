# shellcheck shell=bash disable=SC2034,SC2154
# MinIO, from the commit of the published tag.

names=("$(published minio)")
from=minioClient # The published image holds `mc` as well.
minio=github.com/minio/minio
inputs=("$(gobin minio $minio@v0.0.0-20250907161309-07c3a429bfed "-X $minio/cmd.Version=2025-09-07T16:13:09Z \
  -X $minio/cmd.ReleaseTag=RELEASE.2025-09-07T16-13-09Z -X $minio/cmd.CopyrightYear=2025 \
  -X $minio/cmd.CommitID=07c3a429bfed433e49018cb0f78a52145d4bedeb -X $minio/cmd.ShortCommitID=07c3a429bfed")")
config='{"Entrypoint": ["/usr/bin/docker-entrypoint.sh"], "Cmd": ["minio"], "Volumes": {"/data": {}},
         "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "MC_CONFIG_DIR=/tmp/.mc",
                 "MINIO_ROOT_USER_FILE=access_key", "MINIO_ROOT_PASSWORD_FILE=secret_key", "MINIO_CONFIG_ENV_FILE=config.env"]}'

fill() {
  install -D -t "$1/usr/bin" "${inputs[0]}"
  install "$here/images/minio.entrypoint" "$1/usr/bin/docker-entrypoint.sh"
}
