"""Python reads what TypeScript writes: contract/spec.schema.json, the specs in dist/ and the shared names."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from lifecycle import names
from lifecycle.sidecar.__main__ import Sidecar
from lifecycle.spec import SPEC, Granularity, Spec
from lifecycle_settings import pipeline
from pipeline_dags import dag_file
from synthesized import DIST, spec_texts

CONTRACT = DIST.parent / "contract"
MANIFESTS = sorted(DIST.rglob("60-pipeline-*.yaml"))


def test_dist_has_pipelines() -> None:
    assert len(MANIFESTS) >= 3


@pytest.mark.parametrize("manifests", MANIFESTS, ids=lambda path: str(path.relative_to(DIST)))
def test_python_reads_every_spec_of_dist_and_leaves_nothing_of_it_unread(manifests: Path) -> None:
    texts = spec_texts(manifests)
    # A manifest has two ConfigMaps with the spec: one for Airflow, one for the steps.
    assert len(texts) == 2
    for text in texts:
        spec = Spec.parse(text.encode())
        assert json.loads(SPEC.dump_json(spec, by_alias=True, exclude_none=True)) == json.loads(text)
        assert pipeline(spec).name == spec.name
        assert spec.name in dag_file(spec.name, {names.SPEC_FILE: text})


def test_python_reads_exactly_the_keys_that_typescript_writes() -> None:
    written = json.loads((CONTRACT / "spec.schema.json").read_text())
    read = SPEC.json_schema(by_alias=True)
    assert shape(read, read["$defs"]) == shape(written, {})


def test_the_periods_are_those_of_the_spec() -> None:
    assert get_args(Granularity) == tuple(names.PERIODS)


def test_the_sidecar_listens_where_the_manifests_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    names_of = names.ENVIRONMENT
    environ = {
        names_of.models_bucket: "models",
        names_of.data_bucket: "data",
        names_of.model_repository: str(tmp_path),
        names_of.trace_dir: str(tmp_path),
        names_of.triton_grpc_url: "localhost:1",
        names_of.triton_admin_key: "key",
    }
    assert Sidecar(environ).port == 9101


def shape(schema: Any, definitions: dict[str, Any]) -> Any:
    """Reduce a JSON Schema to its keys, types and required keys, so that two schemas can be compared."""
    if "$ref" in schema:
        return shape(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    forms = [each for each in schema.get("anyOf", schema.get("oneOf", ())) if each.get("type") != "null"]
    if len(forms) == 1:
        return shape(forms[0], definitions)
    if forms:
        return sorted(
            (shape(each, definitions) for each in forms), key=lambda each: json.dumps(each, sort_keys=True)
        )
    if "const" in schema or "enum" in schema:
        return schema.get("enum", [schema.get("const")])
    if schema["type"] == "array":
        return ["list of", shape(schema["items"], definitions)]
    if schema["type"] != "object":
        return schema["type"]
    others = schema.get("additionalProperties")
    if others in ({}, True):
        return "any object"
    if others:
        return {"any key": shape(others, definitions)}
    # A key with a constant, a source's type, counts as required. `sha256` is computed and not in the text.
    required = {*schema["required"], *(key for key, each in schema["properties"].items() if "const" in each)}
    return {
        f"{key}{'' if key in required else '?'}": shape(each, definitions)
        for key, each in schema["properties"].items()
        if key != "sha256"
    }
