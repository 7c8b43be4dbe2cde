"""Pipeline specs from dist/, as `npm run synth` wrote them."""

import json
from pathlib import Path
from typing import Any

import yaml

from lifecycle.names import API_VERSION, SPEC_FILE

DIST = Path(__file__).parents[2] / "dist"


def spec_texts(manifests: Path) -> list[str]:
    """Return the text of each spec.json in a file of dist/."""
    objects = yaml.load_all(manifests.read_text(encoding="utf-8"), yaml.CSafeLoader)
    maps = [each["data"] for each in objects if each["kind"] == "ConfigMap"]
    return [data[SPEC_FILE] for data in maps if SPEC_FILE in data]


def spec_of(name: str, source: dict[str, Any], schema: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the spec of dist's pipeline with another name, source and schema.

    Args:
        name: The pipeline's name.
        source: `collection.source`; missing keys get their defaults.
        schema: `collection.schema`.
        changes: Other values by their path, as in `serving.shadow`.
    """
    made: dict[str, Any] = json.loads(spec_texts(DIST / "laptop" / "60-pipeline-trip-duration.yaml")[0])
    assert made["apiVersion"] == API_VERSION
    made["name"] = made["training"]["experiment"] = made["registry"]["model"] = made["serving"]["model"] = (
        name
    )
    made["collection"]["prefix"] = made["serving"]["prefix"] = f"{name}/"
    defaults = {"format": "parquet", "period": "month"} if source["type"] in ("http", "s3") else {}
    made["collection"]["source"] = {"monthsUntilPublished": 0, **defaults, **source}
    made["collection"]["schema"] = schema
    for path, value in changes.items():
        *parents, key = path.split(".")
        inner = made
        for each in parents:
            inner = inner[each]
        inner[key] = value
    return made
