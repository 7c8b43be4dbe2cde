# shellcheck shell=bash disable=SC2034,SC2154
# Alertmanager with one line for its pages, which the module lacks.

names=("$(published alertmanager)")
from=busybox
for program in alertmanager amtool; do
  inputs+=("$(gosource $program github.com/prometheus/alertmanager@v0.34.0 ./cmd/$program \
    '-X github.com/prometheus/common/version.Version=0.34.0' '' \
    'mkdir ui/app/dist && echo "This build has no pages: use amtool or the API." | gzip -n > ui/app/dist/index.html.gz')")
done
config='{"Entrypoint": ["/bin/alertmanager"], "User": "nobody", "WorkingDir": "/alertmanager",
         "Cmd": ["--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"],
         "Volumes": {"/alertmanager": {}}, "ExposedPorts": {"9093/tcp": {}}}'

fill() {
  install -D -t "$1/bin" "${inputs[@]}"
  install -d -m 775 -o 65534 -g 65534 "$1"/{,etc/}alertmanager
  printf 'route: {receiver: nobody}\nreceivers: [{name: nobody}]\n' > "$1/etc/alertmanager/alertmanager.yml"
}
