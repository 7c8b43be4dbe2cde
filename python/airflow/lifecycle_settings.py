"""What Airflow must know of one pipeline, read from its spec.

Nothing here imports Airflow, so that everything decided here is tested without it.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, Literal

from lifecycle.names import COLLECT, MONITOR, PERMANENT_ERROR, RETRYABLE_ERROR, RUN_STEPS, TRAIN
from lifecycle.spec import Resources, SecretVariable, Spec

RETRYABLE_RETRIES = 5
"""Times a step is repeated that says it may pass later."""
COLLECT_RETRIES = 6
"""A source may be out of reach for longer than what the platform itself runs."""
FAULT_RETRIES = 3
"""Times a step is repeated after any other end: a fault of the platform passes soon, or not by itself."""

STEP_LIMIT = timedelta(hours=2)
"""How long a step other than training may run."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Step:
    """One step as Airflow runs it.

    Attributes:
        name: as the program `lifecycle` knows it.
        retries: at most so many, each after a longer pause.
        limit: after which its pod is stopped.
        resources: of its container.
        placement: on which nodes, as the operator's own arguments say it.
        secrets: variables that it alone has: name to the name and the key of a Secret.
    """

    name: str
    retries: int
    limit: timedelta
    resources: Resources
    placement: dict[str, Any]
    secrets: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Pipeline:
    """One pipeline as Airflow runs it. `pod` is the manifest that all its steps have in common."""

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
        """Name of the DAG that looks at the alerts."""
        return f"{self.name}.watch"

    @property
    def report(self) -> str:
        """Name of the DAG that measures the live model."""
        return f"{self.name}.monitor"

    @property
    def retrain(self) -> str:
        """URI of the Asset whose events start a run."""
        return f"mlops://{self.name}/retrain"

    @property
    def batch(self) -> str:
        """URI of the Asset that says that a batch was collected."""
        return f"mlops://{self.name}/batch"


def pipeline(spec: Spec) -> Pipeline:
    """What Airflow must know of a pipeline.

    Raises:
        ValueError: A length of time is none. The message names the path.
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
    """A length of time: `30m`, `24h`, `7d`.

    Raises:
        ValueError: `text` is none; the message begins with `path`.
    """
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdecimal()) or int(number) == 0 or unit not in _SECONDS:
        raise ValueError(f"{path} must be a length of time, as in '30m' or '24h', got {text!r}")
    return timedelta(seconds=int(number) * _SECONDS[unit])


def ending(exit_code: int | None, reason: str | None, attempt: int) -> Literal["stop", "again"]:
    """What follows from a pod that failed, other than with GATE_REJECTED.

    Args:
        exit_code: of the step's container; None where it never ran.
        reason: what Kubernetes says of the pod; `DeadlineExceeded` after its limit.
        attempt: which one this was, from 1.
    """
    if exit_code == RETRYABLE_ERROR.code:
        return "again"
    # What ran out of its time would do so again.
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
