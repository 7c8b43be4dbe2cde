# shellcheck shell=bash
# Looking at the alerts leaves a run every few minutes. Once a day this removes the old ones, of the
# watch DAGs alone: without its last runs a lifecycle DAG would begin anew, and the events of its
# Assets say when the last retraining was asked for.
trap exit TERM
pause() {
  sleep "$1" &
  wait $!
}
pause 600
while true; do
  watches=$(find /opt/airflow/dags -name 'pipeline-*.py' | sed 's|.*/pipeline-\(.*\)\.py$|\1.watch|' | paste -sd,)
  if [ -n "$watches" ]; then
    # Airflow 3.3.2 says that the table 'deadline' was not cleaned: it looks for a column that is not there.
    airflow db clean --yes --skip-archive --tables dag_run,log --dag-ids "$watches" \
      --clean-before-timestamp "$(date -u -d '14 days ago' +%FT%TZ)"
  fi
  pause 86400
done
