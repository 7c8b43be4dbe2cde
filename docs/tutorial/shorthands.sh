# Shorthands of the tutorial, for one terminal: `. docs/tutorial/shorthands.sh`.
# Each runs a program inside its pod, with the login that this pod has.
# shellcheck shell=bash

# Airflow's command line.
airflow() { kubectl -n mlops-platform exec deployment/airflow-api-server -c api-server -- airflow "$@"; }

# MinIO's client; the object store is called `store`.
mc() {
  # shellcheck disable=SC2016
  kubectl -n mlops-platform exec -i statefulset/minio -c server -- sh -c \
    'MC_HOST_store=http://$MINIO_ROOT_USER:$MINIO_ROOT_PASSWORD@localhost:9000 mc --config-dir /tmp/.mc --quiet "$@"' \
    mc "$@"
}

# A request to MLflow's REST API, below /api/2.0/mlflow/.
mlflow() {
  kubectl -n mlops-platform exec deployment/mlflow -c server -- python -c '
import base64, os, sys, urllib.request
login = os.environ["MLFLOW_AUTH_ADMIN_USERNAME"] + ":" + os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"]
headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}
request = urllib.request.Request("http://localhost:5000/api/2.0/mlflow/" + sys.argv[1], headers=headers)
print(urllib.request.urlopen(request).read().decode())' "$1"
}

# A query in PromQL.
promql() {
  kubectl -n mlops-platform exec statefulset/prometheus-prometheus -c prometheus -- \
    promtool query instant http://localhost:9090 "$1"
}

# wait_for TEXT COMMAND...: runs COMMAND every five seconds, eight minutes at most, until it prints TEXT; shows the line.
wait_for() {
  local text=$1 end=$((SECONDS + 480))
  shift
  while [ "$SECONDS" -lt "$end" ]; do
    if "$@" 2> /dev/null | grep -e "$text"; then return; fi
    sleep 5
  done
  echo "eight minutes have passed without: $text"
  return 1
}
