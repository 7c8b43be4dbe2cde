"""What Airflow must know of one pipeline, read from its spec.

Nothing here imports Airflow, so that everything decided here is tested without it.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal

STEPS = ("collect", "preprocess", "train", "register", "gate", "deploy")
"""The steps of a lifecycle run, in this order."""

PERMANENT_ERROR, RETRYABLE_ERROR, GATE_REJECTED = 65, 75, 99
"""Exit codes of a step: it cannot pass; it may pass later; the champion stays."""

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
        resources: `{requests: {…}, limits: {…}}` of its container.
        placement: `runtimeClassName`, `nodeSelector` and `tolerations`, where it has them.
        secrets: variables that it alone has: name to the name and the key of a Secret.
    """

    name: str
    retries: int
    limit: timedelta
    resources: dict[str, dict[str, str]]
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


def pipeline(spec: dict[str, Any]) -> Pipeline:
    """Read a spec.

    Raises:
        ValueError: the spec misses something, or a length of time is none. The message names the path.
    """
    try:
        monitoring, training, shared = spec["monitoring"], spec["training"], spec["steps"]
        retraining = monitoring["retraining"]
        placement = {
            key: training[key]
            for key in ("runtimeClassName", "nodeSelector", "tolerations")
            if key in training
        }
        trainer = Step(
            "train",
            RETRYABLE_RETRIES,
            span("training.timeout", training["timeout"]),
            training["resources"],
            placement,
        )
        steps = [trainer if name == "train" else _step(name, shared["resources"]) for name in STEPS]
        steps[0] = replace(steps[0], secrets=_secrets(spec.get("collection", {}).get("env", [])))
        return Pipeline(
            name=spec["name"],
            owner=spec["owner"],
            description=spec.get("description", ""),
            schedule=spec["schedule"],
            every=span("monitoring.every", monitoring["every"]),
            report_every=span("monitoring.reportEvery", monitoring["reportEvery"]),
            cooldown=span("monitoring.retraining.cooldown", retraining["cooldown"]),
            on_drift=retraining["onDrift"],
            pod=shared["pod"],
            steps=tuple(steps),
            monitor=_step("monitor", shared["resources"]),
        )
    except KeyError as error:
        raise ValueError(f"the spec of the pipeline {spec.get('name')!r} has no {error}") from error


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
    if exit_code == RETRYABLE_ERROR:
        return "again"
    # What ran out of its time would do so again.
    if exit_code == PERMANENT_ERROR or reason == "DeadlineExceeded":
        return "stop"
    return "again" if attempt <= FAULT_RETRIES else "stop"


def _step(name: str, resources: dict[str, dict[str, str]]) -> Step:
    return Step(name, COLLECT_RETRIES if name == "collect" else RETRYABLE_RETRIES, STEP_LIMIT, resources, {})


def _secrets(variables: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """As Kubernetes spells a variable from a key of a Secret."""
    references = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in variables}
    return {name: (reference["name"], reference["key"]) for name, reference in references.items()}
