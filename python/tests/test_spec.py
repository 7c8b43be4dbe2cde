import json
from pathlib import Path
from typing import Any

import pytest

from lifecycle.exits import PermanentError
from lifecycle.spec import (
    SOURCES,
    Column,
    Feature,
    HttpSource,
    PythonSource,
    S3Source,
    Source,
    Spec,
    SqlSource,
)
from trip_files import sha256, spec_json


def load(folder: Path, raw: Any) -> Spec:
    path = folder / "spec.json"
    path.write_text(json.dumps(raw))
    return Spec.load(path)


def test_a_spec_is_read_and_unknown_keys_are_ignored(tmp_path: Path) -> None:
    raw = spec_json()
    spec = load(tmp_path, raw | {"later": 1, "steps": raw["steps"] | {"image": "python"}})
    schema = spec.collection.schema
    assert (spec.name, spec.serving.max_queue_delay_microseconds) == ("trips", 500)
    assert schema.columns["distance"] == Column("float", False, 0, 100)
    assert schema.features == (Feature("distance", "float", 0, 100),)
    assert spec.registry.gate.limit == 10
    assert spec.monitoring.retraining.on_drift is True
    assert spec.sha256 == sha256((tmp_path / "spec.json").read_bytes())


def test_optional_keys_are_none(tmp_path: Path) -> None:
    raw = spec_json()
    del raw["registry"]["gate"]["limit"]
    spec = load(tmp_path, raw)
    assert (spec.registry.gate.limit, spec.collection.schema.request_id) == (None, None)


def test_whole_numbers_stay_whole_so_that_a_schema_keeps_its_hash(tmp_path: Path) -> None:
    raw = spec_json()
    raw["collection"]["schema"]["maxQuarantined"] = 0
    schema = load(tmp_path, raw).collection.schema
    assert [repr(each) for each in (schema.max_quarantined, schema.target.min)] == ["0", "1"]


def test_the_spec_of_another_api_version_is_refused(tmp_path: Path) -> None:
    wanted = r'spec\.apiVersion must be "mlops-lifecycle/v1": synthesize .*, got "mlops-lifecycle/v2"'
    with pytest.raises(PermanentError, match=wanted):
        load(tmp_path, spec_json() | {"apiVersion": "mlops-lifecycle/v2"})


def test_all_errors_are_named_at_once(tmp_path: Path) -> None:
    raw = spec_json()
    del raw["owner"], raw["serving"]["gpus"]
    with pytest.raises(PermanentError, match=r"spec\.owner is missing; .*; spec\.serving\.gpus is missing"):
        load(tmp_path, raw)


@pytest.mark.parametrize(
    ("raw", "source"),
    [
        (
            {"type": "http", "url": "http://x/{{ month }}", "format": "csv", "monthsUntilPublished": 2},
            HttpSource("http://x/{{ month }}", "month", "csv", 2),
        ),
        (
            {
                "type": "s3",
                "bucket": "data",
                "prefix": "in/{{ date }}/",
                "period": "date",
                "until": "2024-01-31",
            },
            S3Source("data", "in/{{ date }}/", "date", "parquet", 0, "2024-01-31"),
        ),
        (
            {"type": "sql", "query": "SELECT 1", "period": "date", "secretName": "trips"},
            SqlSource("SELECT 1", "date", 0),
        ),
        ({"type": "python", "period": "hour"}, PythonSource("hour", 0)),
    ],
)
def test_each_kind_of_source_is_read(tmp_path: Path, raw: dict[str, Any], source: Source) -> None:
    assert load(tmp_path, spec_json(**raw)).collection.source == source


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["name"], None, r"spec\.name must be of type str, got null"),
        (["collection", "source", "type"], "ftp", rf"type must be one of {', '.join(SOURCES)}, got \"ftp\""),
        (
            ["collection", "source"],
            "http://x",
            r"spec\.collection\.source must be an object, got \"http://x\"",
        ),
        (["collection", "schema", "features"], {}, r"schema\.features must be a list, got {}"),
        (
            ["collection", "schema", "columns", "distance", "type"],
            "x",
            r"columns\.distance\.type must be one of",
        ),
        (["collection", "source"], {}, r"spec\.collection\.source\.type must be one of http, .*, got null"),
        (["serving", "instances"], True, r"serving\.instances must be of type int, got true"),
        (["serving", "instances"], 1.5, r"serving\.instances must be of type int, got 1\.5"),
        (["registry", "gate", "margin"], True, r"gate\.margin must be of type float, got true"),
        (["steps", "resources", "limits", "memory"], 0.5, r"limits\.memory must be of type str, got 0\.5"),
        (["monitoring", "retraining", "onDrift"], 1, r"retraining\.onDrift must be of type bool, got 1"),
    ],
)
def test_what_is_of_the_wrong_type_is_named(
    tmp_path: Path, path: list[str], value: Any, message: str
) -> None:
    raw = spec_json()
    inner = raw
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(PermanentError, match=message):
        load(tmp_path, raw)


def test_a_missing_key_is_named_beside_those_that_are_there(tmp_path: Path) -> None:
    raw = spec_json()
    del raw["training"]["timeout"]
    with pytest.raises(
        PermanentError, match=r"spec\.training\.timeout is missing; there are experiment, resources"
    ):
        load(tmp_path, raw)


def test_a_file_that_is_missing_or_no_json_object_is_named(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"spec\.json is no readable spec: .*No such file"):
        Spec.load(tmp_path / "spec.json")
    (tmp_path / "spec.json").write_text("{")
    with pytest.raises(PermanentError, match=r"spec\.json is no readable spec"):
        Spec.load(tmp_path / "spec.json")
    with pytest.raises(PermanentError, match="spec must be an object, got 3"):
        load(tmp_path, 3)
