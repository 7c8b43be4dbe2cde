"""What Airflow reads from a pipeline's spec, and what follows from how a step ended."""

from datetime import timedelta
from typing import Any

import pytest

from lifecycle_settings import (
    COLLECT_RETRIES,
    FAULT_RETRIES,
    PERMANENT_ERROR,
    RETRYABLE_ERROR,
    RETRYABLE_RETRIES,
    STEP_LIMIT,
    STEPS,
    ending,
    pipeline,
    span,
)

SMALL = {"requests": {"cpu": "200m"}, "limits": {"memory": "2Gi"}}
LARGE = {"requests": {"cpu": "4"}, "limits": {"memory": "16Gi", "nvidia.com/gpu": "1"}}


@pytest.fixture
def spec() -> dict[str, Any]:
    return {
        "name": "trips",
        "owner": "data team",
        "description": "How long a trip takes.",
        "schedule": "0 6 1 * *",
        "training": {"timeout": "90m", "resources": LARGE},
        "monitoring": {
            "retraining": {"onDrift": False, "cooldown": "24h"},
            "every": "5m",
            "reportEvery": "7d",
        },
        "steps": {"resources": SMALL, "pod": {"kind": "Pod"}},
    }


def test_reads_what_the_dags_need(spec: dict[str, Any]) -> None:
    read = pipeline(spec)
    assert (read.name, read.owner, read.schedule) == ("trips", "data team", "0 6 1 * *")
    assert (read.every, read.report_every) == (timedelta(minutes=5), timedelta(days=7))
    assert (read.cooldown, read.on_drift) == (timedelta(days=1), False)
    assert (read.watch, read.report) == ("trips.watch", "trips.monitor")
    assert (read.retrain, read.batch) == ("mlops://trips/retrain", "mlops://trips/batch")
    assert read.pod == {"kind": "Pod"}


def test_the_step_collect_alone_gets_the_address_of_a_database(spec: dict[str, Any]) -> None:
    reference = {"secretKeyRef": {"name": "trips-reader", "key": "url"}}
    spec["collection"] = {"env": [{"name": "SOURCE_DATABASE_URL", "valueFrom": reference}]}
    collect, *others = pipeline(spec).steps
    assert collect.secrets == {"SOURCE_DATABASE_URL": ("trips-reader", "url")}
    assert [step.secrets for step in others] == [{}] * 5


def test_a_description_is_not_needed(spec: dict[str, Any]) -> None:
    del spec["description"]
    assert pipeline(spec).description == ""


def test_the_steps_come_in_the_order_of_a_life_and_training_alone_gets_what_the_trainer_asks(
    spec: dict[str, Any],
) -> None:
    tolerations = [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    spec["training"] |= {"runtimeClassName": "nvidia", "tolerations": tolerations}
    steps = {step.name: step for step in pipeline(spec).steps}
    assert tuple(steps) == STEPS
    assert steps["train"].resources == LARGE
    assert steps["train"].limit == timedelta(minutes=90)
    assert steps["train"].placement == {"runtimeClassName": "nvidia", "tolerations": tolerations}
    others = [step for name, step in steps.items() if name != "train"] + [pipeline(spec).monitor]
    assert all((step.resources, step.limit, step.placement) == (SMALL, STEP_LIMIT, {}) for step in others)


def test_a_source_is_waited_for_the_longest(spec: dict[str, Any]) -> None:
    retries = {step.name: step.retries for step in pipeline(spec).steps}
    assert retries.pop("collect") == COLLECT_RETRIES
    assert set(retries.values()) == {RETRYABLE_RETRIES}


@pytest.mark.parametrize("path", ["schedule", "monitoring.every", "steps.pod", "training.resources"])
def test_a_spec_that_misses_something_is_refused_by_its_name(spec: dict[str, Any], path: str) -> None:
    *above, key = path.split(".")
    part = spec
    for one in above:
        part = part[one]
    del part[key]
    with pytest.raises(ValueError, match=rf"the spec of the pipeline 'trips' has no '{key}'"):
        pipeline(spec)


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("5m", 300), ("24h", 86400), ("7d", 604800)])
def test_a_span_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert span("every", text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "0m", "-5m", "5 m", "5w", "1.5h", "٣m"])
def test_any_other_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"monitoring\.every must be a length of time"):
        span("monitoring.every", text)


def test_what_cannot_pass_is_never_repeated() -> None:
    assert ending(PERMANENT_ERROR, None, 1) == "stop"
    assert ending(137, "DeadlineExceeded", 1) == "stop"


def test_what_may_pass_later_is_repeated_as_long_as_airflow_does() -> None:
    assert {ending(RETRYABLE_ERROR, None, attempt) for attempt in range(1, COLLECT_RETRIES + 2)} == {"again"}


@pytest.mark.parametrize(("code", "reason"), [(1, None), (137, "OOMKilled"), (None, "Evicted"), (0, None)])
def test_a_fault_is_repeated_a_few_times(code: int | None, reason: str | None) -> None:
    ends = [ending(code, reason, attempt) for attempt in range(1, FAULT_RETRIES + 3)]
    assert ends == ["again"] * FAULT_RETRIES + ["stop"] * 2
