"""The DAGs' settings from a pipeline's spec, and the decision whether a failed step is retried."""

import json
from datetime import timedelta
from typing import Any

import pytest

from lifecycle.names import COLLECT, RUN_STEPS
from lifecycle.spec import Resources, Spec
from lifecycle_settings import (
    COLLECT_RETRIES,
    FAULT_RETRIES,
    RETRYABLE_RETRIES,
    STEP_LIMIT,
    Pipeline,
    ending,
    pipeline,
    span,
)
from trip_files import spec_json

SMALL: dict[str, dict[str, str | int]] = {"requests": {"cpu": "200m"}, "limits": {"memory": "2Gi"}}
LARGE: dict[str, dict[str, str | int]] = {
    "requests": {"cpu": "4"},
    "limits": {"memory": "16Gi", "nvidia.com/gpu": "1"},
}


def read(**changes: Any) -> Pipeline:
    """The settings of a pipeline whose spec has these values; keywords are paths with `__` for the dots."""
    made = spec_json()
    for path, value in changes.items():
        *parents, key = path.split("__")
        part = made
        for each in parents:
            part = part[each]
        part[key] = value
    return pipeline(Spec.parse(json.dumps(made).encode()))


def test_reads_what_the_dags_need() -> None:
    made = read(
        owner="data team",
        schedule="0 6 1 * *",
        monitoring={
            "retraining": {"onDrift": False, "cooldown": "24h"},
            "every": "5m",
            "reportEvery": "7d",
        },
        steps__pod={"kind": "Pod"},
    )
    assert (made.name, made.owner, made.schedule) == ("trips", "data team", "0 6 1 * *")
    assert (made.every, made.report_every) == (timedelta(minutes=5), timedelta(days=7))
    assert (made.cooldown, made.on_drift) == (timedelta(days=1), False)
    assert (made.watch, made.report) == ("trips.watch", "trips.monitor")
    assert (made.retrain, made.batch) == ("mlops://trips/retrain", "mlops://trips/batch")
    assert made.pod == {"kind": "Pod"}


def test_the_step_collect_alone_gets_the_address_of_a_database() -> None:
    reference = {"secretKeyRef": {"name": "trips-reader", "key": "url"}}
    env = [{"name": "SOURCE_DATABASE_URL", "valueFrom": reference}]
    collect, *others = read(collection__env=env).steps
    assert collect.name == COLLECT
    assert collect.secrets == {"SOURCE_DATABASE_URL": ("trips-reader", "url")}
    assert [step.secrets for step in others] == [{} for _ in RUN_STEPS[1:]]


def test_a_description_is_not_needed() -> None:
    assert read(description="How long a trip takes.").description == "How long a trip takes."
    made = spec_json()
    del made["description"]
    assert pipeline(Spec.parse(json.dumps(made).encode())).description == ""


def test_steps_are_in_order_and_only_train_gets_the_trainers_resources() -> None:
    toleration = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    training = {
        "experiment": "trips",
        "timeout": "90m",
        "resources": LARGE,
        "runtimeClassName": "nvidia",
        "tolerations": [toleration],
    }
    made = read(training=training, steps__resources=SMALL)
    steps = {step.name: step for step in made.steps}
    assert tuple(steps) == RUN_STEPS
    assert steps["train"].resources == Resources(LARGE["requests"], LARGE["limits"])
    assert steps["train"].limit == timedelta(minutes=90)
    assert steps["train"].placement == {
        "runtime_class_name": "nvidia",
        "node_selector": None,
        "tolerations": [toleration],
    }
    others = [step for name, step in steps.items() if name != "train"] + [made.monitor]
    small = Resources(SMALL["requests"], SMALL["limits"])
    assert all((step.resources, step.limit, step.placement) == (small, STEP_LIMIT, {}) for step in others)


def test_a_source_is_waited_for_the_longest() -> None:
    retries = {step.name: step.retries for step in read().steps}
    assert retries.pop("collect") == COLLECT_RETRIES
    assert set(retries.values()) == {RETRYABLE_RETRIES}


def test_a_malformed_duration_is_refused_with_its_path() -> None:
    with pytest.raises(ValueError, match=r"training\.timeout must be a length of time, .*got 'soon'"):
        read(training__timeout="soon")


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("5m", 300), ("24h", 86400), ("7d", 604800)])
def test_a_span_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert span("every", text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "0m", "-5m", "5 m", "5w", "1.5h", "٣m"])
def test_any_other_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"monitoring\.every must be a length of time"):
        span("monitoring.every", text)


def test_permanent_errors_are_never_retried() -> None:
    assert ending(65, None, 1) == "stop"
    assert ending(137, "DeadlineExceeded", 1) == "stop"


def test_retryable_errors_are_retried_as_often_as_airflow_does() -> None:
    assert {ending(75, None, attempt) for attempt in range(1, COLLECT_RETRIES + 2)} == {"again"}


@pytest.mark.parametrize(("code", "reason"), [(1, None), (137, "OOMKilled"), (None, "Evicted"), (0, None)])
def test_a_fault_is_repeated_a_few_times(code: int | None, reason: str | None) -> None:
    ends = [ending(code, reason, attempt) for attempt in range(1, FAULT_RETRIES + 3)]
    assert ends == ["again"] * FAULT_RETRIES + ["stop"] * 2
