"""The DAGs of one pipeline, made from its spec.

Each pipeline has a file of its own beside this one, which calls `dags`: a task reads its own
pipeline's file and no other. `pipeline_dags.py` writes those files.
"""

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import (
    DAG,
    Asset,
    AssetOrTimeSchedule,
    CronTriggerTimetable,
    DeltaTriggerTimetable,
    Param,
    chain,
    task,
)
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from kubernetes.client import models as k8s

import lifecycle_watching as watching
from lifecycle.names import ENVIRONMENT, GATE_REJECTED, PERIODS, PIPELINE_LABEL, STEP_LABEL
from lifecycle.spec import Spec
from lifecycle_settings import Pipeline, Step, ending, pipeline

WAITING = timedelta(hours=1)
"""How long a pod may wait for room on a node, or for its image."""

BATCH = Param(
    "",
    type="string",
    title="Batch",
    pattern=f"^({'|'.join(PERIODS.values())})?$",
    description="The period to collect, in UTC: 2024, 2024-01, 2024-01-31 or 2024-01-31T05. "
    "Left empty, it is the newest that was complete at the run's date.",
)


def dags(text: str) -> dict[str, DAG]:
    """All DAGs of the pipeline that `text`, a `spec.json`, describes, by a name for each.

    Raises:
        ValueError: the spec misses something.
    """
    described = pipeline(Spec.parse(text.encode()))
    return {"lifecycle": lifecycle(described), "watch": watch(described), "report": monitor(described)}


def lifecycle(of: Pipeline) -> DAG:
    """From a batch of data to the model that serves, each month, say, or when the model has drifted."""
    # Without a start date the newest date of the cron that has passed is run at once, and no older one.
    clock = CronTriggerTimetable(of.schedule, timezone="UTC", run_immediately=True)
    with DAG(
        of.name,
        schedule=AssetOrTimeSchedule(timetable=clock, assets=[Asset(of.retrain)]),
        params={"batch": BATCH},
        **common(of, of.description),
    ) as made:
        steps = [step_pod(of, step, "--batch", "{{ params.batch }}") for step in of.steps]
        steps[0].outlets = [Asset(of.batch)]
        chain(*steps)
    return made


def watch(of: Pipeline) -> DAG:
    """Asks whether an alert fires for the model that serves, and has it trained again: once a cooldown."""
    retrain = Asset(of.retrain)
    with DAG(
        of.watch,
        schedule=DeltaTriggerTimetable(of.every),
        **common(of, f"Has {of.name} trained again when one of its alerts fires"),
    ) as made:

        @task(inlets=[retrain], outlets=[retrain], execution_timeout=timedelta(minutes=5))
        def drift(*, inlet_events: Any, outlet_events: Any, ti: Any) -> None:
            """Skipped, it emits no event; in success it emits one."""
            try:
                alerts = watching.ask(
                    os.environ[ENVIRONMENT.prometheus_url], watching.question(of.name, of.on_drift)
                )
            except watching.Unanswered as reason:
                # Prometheus has alerts of its own for this; a failed run every few minutes would bury them.
                raise AirflowSkipException(f"{reason}; asked again in {of.every}") from reason
            newest = [event.timestamp for event in inlet_events[retrain].ascending(False).limit(1)]
            running = ti.get_dr_count(dag_id=of.name, states=["queued", "running"]) > 0
            verdict = watching.verdict(
                alerts, newest[0] if newest else None, running, of.cooldown, datetime.now(UTC)
            )
            if not verdict.retrain:
                raise AirflowSkipException(verdict.why)
            print(verdict.why)
            outlet_events[retrain].extra = verdict.extra

        drift()
    return made


def monitor(of: Pipeline) -> DAG:
    """Measures the live model and writes the report, daily, say, and when a batch brought new labels."""
    clock = DeltaTriggerTimetable(of.report_every)
    schedule = AssetOrTimeSchedule(timetable=clock, assets=[Asset(of.batch)])
    what = (
        f"Measures the version of {of.name} that serves on labels that arrived later, and writes the report"
    )
    with DAG(of.report, schedule=schedule, **common(of, what)) as made:
        step_pod(of, of.monitor)
    return made


def common(of: Pipeline, what: str) -> dict[str, Any]:
    """What all DAGs of a pipeline have in common, and what this one does."""
    return {
        "catchup": False,
        "max_active_runs": 1,
        "default_args": {"owner": of.owner},
        "tags": ["pipeline", of.name],
        "description": what,
        "doc_md": f"{of.description}\n\nAnswered for by {of.owner}. "
        f"[Versions in MLflow]({os.environ[ENVIRONMENT.mlflow_page_url]}/#/models/{of.name})",
    }


def step_pod(of: Pipeline, step: Step, *args: str) -> "StepPod":
    """The task of one step: `lifecycle <step>` in a pod of its own."""
    at = "{{ (logical_date | default(dag_run.run_after, true)).isoformat() }}"
    run_url = (
        f"{os.environ['AIRFLOW__API__BASE_URL']}/dags/{{{{ ti.dag_id }}}}/runs/{{{{ run_id | urlencode }}}}"
    )
    return StepPod(
        task_id=step.name,
        name=f"{of.name}-{step.name}",
        pod_template_dict=of.pod,
        arguments=["lifecycle", step.name, "--pipeline", of.name, "--run", "{{ run_id }}", *args, "--at", at],
        env_vars=[
            k8s.V1EnvVar(name=ENVIRONMENT.airflow_run_url, value=run_url),
            *(from_secret(variable, *key) for variable, key in step.secrets.items()),
        ],
        labels={PIPELINE_LABEL: of.name, STEP_LABEL: step.name},
        container_resources=k8s.V1ResourceRequirements(
            requests=step.resources.requests, limits=step.resources.limits
        ),
        **step.placement,
        # The template's `false` would be lost: only what is true is taken from it.
        automount_service_account_token=False,
        # By the kubelet, so that it holds while Airflow is away.
        active_deadline_seconds=int(step.limit.total_seconds()),
        execution_timeout=WAITING + WAITING + step.limit,
        schedule_timeout_seconds=int(WAITING.total_seconds()),
        startup_timeout_seconds=int(WAITING.total_seconds()),
        retries=step.retries,
        retry_delay=timedelta(minutes=1),
        retry_exponential_backoff=2,
        max_retry_delay=timedelta(hours=1),
        # A backfill has its own number of runs at once: each step still runs once at a time.
        max_active_tis_per_dag=1,
    )


def from_secret(variable: str, secret: str, key: str) -> k8s.V1EnvVar:
    """A variable whose value Kubernetes takes from a Secret."""
    source = k8s.V1EnvVarSource(secret_key_ref=k8s.V1SecretKeySelector(name=secret, key=key))
    return k8s.V1EnvVar(name=variable, value_from=source)


class StepPod(KubernetesPodOperator):  # type: ignore[misc]  # Airflow is in its own image alone
    """A step's pod, whose exit code says what follows."""

    def __init__(self, **settings: Any) -> None:
        """`settings` are the operator's own, besides what every step has."""
        super().__init__(
            in_cluster=True,
            kubernetes_conn_id=None,
            deferrable=True,
            poll_interval=2,
            startup_check_interval_seconds=1,
            get_logs=True,
            do_xcom_push=False,
            skip_on_exit_code=GATE_REJECTED.code,
            # Its log is in the object store by then, and what Kubernetes said of it in the log.
            on_finish_action="delete_pod",
            log_events_on_failure=True,
            **settings,
        )

    def cleanup(self, pod: Any, remote_pod: Any, xcom_result: Any = None, context: Any = None) -> None:
        """Called when the pod has ended. Raises what Airflow is to do about it."""
        try:
            super().cleanup(pod, remote_pod, xcom_result, context)
        except AirflowSkipException:
            raise
        except AirflowException as failure:
            code = exit_code(remote_pod, self.base_container_name)
            what = f"the step ended with {code}" if code is not None else "the step's pod failed"
            if ending(code, remote_pod.status.reason, context["ti"].try_number) == "stop":
                raise AirflowFailException(f"{what}, which a repetition would not change") from failure
            raise


def exit_code(pod: Any, container: str) -> int | None:
    """With what the container ended, if it did."""
    for status in pod.status.container_statuses or []:
        if status.name == container and status.state.terminated:
            return int(status.state.terminated.exit_code)
    return None
