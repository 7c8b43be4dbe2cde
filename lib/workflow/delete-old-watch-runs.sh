# shellcheck shell=bash
# Deletes runs of the watch DAGs that are older than 14 days, once a day: there is a new run every few
# minutes. It deletes no run of another DAG, because a lifecycle DAG without runs starts again, and no
# event of an Asset, because those tell when the last retraining was requested.
trap exit TERM
pause() {
  sleep "$1" &
  wait $!
}
pause 600
while true; do
  watches=$(find /opt/airflow/dags -name 'pipeline-*.py' | sed 's|.*/pipeline-\(.*\)\.py$|\1.watch|' | paste -sd,)
  if [ -n "$watches" ]; then
    # Airflow 3.3.2 logs that it could not clean the table 'deadline', in which it expects a column that it lacks.
    airflow db clean --yes --skip-archive --tables dag_run,log --dag-ids "$watches" \
      --clean-before-timestamp "$(date -u -d '14 days ago' +%FT%TZ)"
  fi
  pause 86400
done
