# shellcheck shell=bash disable=SC2034,SC2154
# Airflow. airflow.in says what goes in. The published image has more providers, and Python 3.12 where Debian has 3.11.

names=("$(published airflow)")
from=python3
config='{"Entrypoint": ["/usr/bin/dumb-init", "--", "/entrypoint"], "User": "50000:0", "WorkingDir": "/opt/airflow",
         "Env": ["PATH=/home/airflow/.local/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8",
                 "AIRFLOW_HOME=/opt/airflow", "AIRFLOW_USER_HOME_DIR=/home/airflow", "AIRFLOW_UID=50000", "DUMB_INIT_SETSID=1"]}'

fill() {
  debs "$1" dumb-init
  wheels "$1" "$here/images/airflow.txt"
  mkdir "$1/etc"
  { below etc/passwd; echo 'airflow:x:50000:0::/home/airflow:/bin/bash'; } > "$1/etc/passwd"
  install "$here/images/airflow.entrypoint" "$1/entrypoint"
  install -d -m 775 -o 50000 -g 0 "$1"/home/airflow "$1"/opt/airflow{,/dags,/logs}
}
