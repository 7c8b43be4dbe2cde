# shellcheck shell=bash disable=SC2034,SC2154
# The MLflow server. mlflow.in says what goes in; `uv pip compile` (see the README) writes mlflow.txt.

names=("$(published mlflow)")
from=python3
config='{"Env": ["PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"], "Cmd": ["python3"]}'

fill() {
  wheels "$1" "$here/images/mlflow.txt"
}
