"""Builds the DAGs of a pipeline from its spec.

Each pipeline has a DAG file of its own beside this module, written by `pipeline_dags.py`; it calls `dags`. So
a task parses only its own pipeline's file.
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
"""Time limit for scheduling a pod, and the same again for starting it (pulling its image)."""

BATCH = Param(
    "",
    type="string",
    title="Batch",
    pattern=f"^({'|'.join(PERIODS.values())})?$",
    description="The period to collect, in UTC: 2024, 2024-01, 2024-01-31 or 2024-01-31T05. "
    "Left empty, it is the newest that was complete at the run's date.",
)


def dags(text: str) -> dict[str, DAG]:
    """Return the DAGs of the pipeline whose spec.json is `text`, by the variable names for the DAG file.

    Raises:
        ValueError: The spec is invalid.
    """
    described = pipeline(Spec.parse(text.encode()))
    return {"lifecycle": lifecycle(described), "watch": watch(described), "report": monitor(described)}


def lifecycle(of: Pipeline) -> DAG:
    """Return the DAG of all steps from `collect` to `deploy`, run by its cron and by `retrain` events."""
    # Without a start date, run_immediately runs the latest past date of the cron at once, and no older one.
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
    """Return the DAG that emits a `retrain` event if an alert fires for the serving version."""
    retrain = Asset(of.retrain)
    with DAG(
        of.watch,
        schedule=DeltaTriggerTimetable(of.every),
        **common(of, f"Has {of.name} trained again when one of its alerts fires"),
    ) as made:

        @task(inlets=[retrain], outlets=[retrain], execution_timeout=timedelta(minutes=5))
        def drift(*, inlet_events: Any, outlet_events: Any, ti: Any) -> None:
            """Emit the event by succeeding, or skip the task, which emits none."""
            try:
                matcher = os.environ.get(ENVIRONMENT.prometheus_matcher, watching.OWN_SERIES)
                alerts = watching.ask(
                    os.environ[ENVIRONMENT.prometheus_url],
                    watching.question(of.name, of.on_drift, matcher),
                )
            except watching.Unanswered as reason:
                # Skipped instead of failed: a failed run every few minutes would hide other failures, and
                # Prometheus has its own alerts.
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
    """Return the DAG that runs `monitor`, regularly and after each collected batch."""
    clock = DeltaTriggerTimetable(of.report_every)
    schedule = AssetOrTimeSchedule(timetable=clock, assets=[Asset(of.batch)])
    what = (
        f"Measures the version of {of.name} that serves on labels that arrived later, and writes the report"
    )
    with DAG(of.report, schedule=schedule, **common(of, what)) as made:
        step_pod(of, of.monitor)
    return made


def common(of: Pipeline, what: str) -> dict[str, Any]:
    """Return the arguments that all DAGs of a pipeline share; `what` is the DAG's description."""
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
    """Return the task that runs `lifecycle <step>` in a pod of its own; `args` are further arguments."""
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
        # Set again here: when the operator merges the pod template, it drops values that are false.
        automount_service_account_token=False,
        # Kubernetes enforces this limit even while Airflow does not run.
        active_deadline_seconds=int(step.limit.total_seconds()),
        execution_timeout=WAITING + WAITING + step.limit,
        schedule_timeout_seconds=int(WAITING.total_seconds()),
        startup_timeout_seconds=int(WAITING.total_seconds()),
        retries=step.retries,
        retry_delay=timedelta(minutes=1),
        retry_exponential_backoff=2,
        max_retry_delay=timedelta(hours=1),
        # A backfill sets its own number of concurrent runs; each step still runs in one of them at a time.
        max_active_tis_per_dag=1,
    )


def from_secret(variable: str, secret: str, key: str) -> k8s.V1EnvVar:
    """Return an environment variable whose value Kubernetes takes from a key of a Secret."""
    source = k8s.V1EnvVarSource(secret_key_ref=k8s.V1SecretKeySelector(name=secret, key=key))
    return k8s.V1EnvVar(name=variable, value_from=source)


class StepPod(KubernetesPodOperator):  # type: ignore[misc]  # Airflow is in its own image alone
    """The pod of a step; its exit code decides whether the task is skipped, retried or failed."""

    def __init__(self, **settings: Any) -> None:
        """Set what all steps share; `settings` are further arguments of KubernetesPodOperator."""
        super().__init__(
            in_cluster=True,
            kubernetes_conn_id=None,
            deferrable=True,
            poll_interval=2,
            startup_check_interval_seconds=1,
            get_logs=True,
            do_xcom_push=False,
            skip_on_exit_code=GATE_REJECTED.code,
            # The pod is not needed after it has finished: its log and its events are in the task's log.
            on_finish_action="delete_pod",
            log_events_on_failure=True,
            **settings,
        )

    def cleanup(self, pod: Any, remote_pod: Any, xcom_result: Any = None, context: Any = None) -> None:
        """Decide how the task ends after the pod has ended.

        Raises:
            AirflowSkipException: The gate rejected the challenger.
            AirflowFailException: The step failed and must not be retried.
            AirflowException: The step failed and may be retried.
        """
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
    """Return the exit code of a pod's container, or None if it has not terminated."""
    for status in pod.status.container_statuses or []:
        if status.name == container and status.state.terminated:
            return int(status.state.terminated.exit_code)
    return None
