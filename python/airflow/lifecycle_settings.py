"""The settings of a pipeline's DAGs, read from its spec.

This module does not import Airflow, so that tests run without it.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, Literal

from lifecycle.names import COLLECT, MONITOR, PERMANENT_ERROR, RETRYABLE_ERROR, RUN_STEPS, TRAIN
from lifecycle.spec import Resources, SecretVariable, Spec

RETRYABLE_RETRIES = 5
"""Retries of a step that ends with a retryable error."""
COLLECT_RETRIES = 6
"""The same for `collect`; a source may be unreachable for longer than the platform's own servers."""
FAULT_RETRIES = 3
"""Retries of a step that ends in any other way: a fault of the platform passes soon or not at all."""

STEP_LIMIT = timedelta(hours=2)
"""Time limit of every step but `train`."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Step:
    """The settings of a step's task.

    Attributes:
        name: The step's name, an argument of the program `lifecycle`.
        retries: Largest number of retries, with growing pauses.
        limit: Time after which its pod is stopped.
        resources: Requests and limits of its container.
        placement: Arguments of KubernetesPodOperator that select nodes.
        secrets: Environment variables of this step only: variable to (Secret's name, key).
    """

    name: str
    retries: int
    limit: timedelta
    resources: Resources
    placement: dict[str, Any]
    secrets: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Pipeline:
    """The settings of a pipeline's DAGs.

    Attributes:
        name: The pipeline's name, which is also the id of its lifecycle DAG.
        owner: Who answers for the pipeline.
        description: Text for Airflow's web interface.
        schedule: Cron expression of the lifecycle DAG, in UTC.
        every: Interval of the check for alerts.
        report_every: Interval of the report.
        cooldown: Shortest time between two retrainings that alerts start.
        on_drift: Whether drift alerts start a retraining.
        pod: The pod template that all steps share.
        steps: The steps of the lifecycle DAG, in order.
        monitor: The step `monitor`.
    """

    name: str
    owner: str
    description: str
    schedule: str
    every: timedelta
    report_every: timedelta
    cooldown: timedelta
    on_drift: bool
    pod: dict[str, Any]
    steps: tuple[Step, ...]
    monitor: Step

    @property
    def watch(self) -> str:
        """Id of the DAG that checks the alerts."""
        return f"{self.name}.watch"

    @property
    def report(self) -> str:
        """Id of the DAG that measures the live model."""
        return f"{self.name}.monitor"

    @property
    def retrain(self) -> str:
        """URI of the Asset whose events start the lifecycle DAG."""
        return f"mlops://{self.name}/retrain"

    @property
    def batch(self) -> str:
        """URI of the Asset that gets an event when a batch was collected."""
        return f"mlops://{self.name}/batch"


def pipeline(spec: Spec) -> Pipeline:
    """Return the settings of a pipeline's DAGs.

    Raises:
        ValueError: A duration in the spec is malformed; the message names its path.
    """
    monitoring = spec.monitoring
    return Pipeline(
        name=spec.name,
        owner=spec.owner,
        description=spec.description or "",
        schedule=spec.schedule,
        every=span("monitoring.every", monitoring.every),
        report_every=span("monitoring.reportEvery", monitoring.report_every),
        cooldown=span("monitoring.retraining.cooldown", monitoring.retraining.cooldown),
        on_drift=monitoring.retraining.on_drift,
        pod=spec.steps.pod,
        steps=tuple(_step(name, spec) for name in RUN_STEPS),
        monitor=_step(MONITOR, spec),
    )


def span(path: str, text: str) -> timedelta:
    """Parse a duration: `30s`, `30m`, `24h` or `7d`.

    Raises:
        ValueError: `text` is not a duration; the message begins with `path`.
    """
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdecimal()) or int(number) == 0 or unit not in _SECONDS:
        raise ValueError(f"{path} must be a length of time, as in '30m' or '24h', got {text!r}")
    return timedelta(seconds=int(number) * _SECONDS[unit])


def ending(exit_code: int | None, reason: str | None, attempt: int) -> Literal["stop", "again"]:
    """Decide whether a failed step is retried. A step that ends with GATE_REJECTED has not failed.

    Args:
        exit_code: Exit code of the step's container; None if it did not run.
        reason: The pod's `status.reason`; `DeadlineExceeded` if its time limit was reached.
        attempt: Number of this attempt, from 1.

    Returns:
        `again` to retry as often as the task's `retries` allow, `stop` to fail without a retry.
    """
    if exit_code == RETRYABLE_ERROR.code:
        return "again"
    # A step that reached its time limit would reach it again.
    if exit_code == PERMANENT_ERROR.code or reason == "DeadlineExceeded":
        return "stop"
    return "again" if attempt <= FAULT_RETRIES else "stop"


def _step(name: str, spec: Spec) -> Step:
    training = spec.training
    if name == TRAIN:
        placement = {
            "runtime_class_name": training.runtime_class_name,
            "node_selector": training.node_selector,
            "tolerations": [asdict(each) for each in training.tolerations or ()] or None,
        }
        limit = span("training.timeout", training.timeout)
        return Step(name, RETRYABLE_RETRIES, limit, training.resources, placement)
    if name == COLLECT:
        secrets = _secrets(spec.collection.env or ())
        return Step(name, COLLECT_RETRIES, STEP_LIMIT, spec.steps.resources, {}, secrets)
    return Step(name, RETRYABLE_RETRIES, STEP_LIMIT, spec.steps.resources, {})


def _secrets(variables: Iterable[SecretVariable]) -> dict[str, tuple[str, str]]:
    references = {each.name: each.value_from.secret_key_ref for each in variables}
    return {name: (reference.name, reference.key) for name, reference in references.items()}
