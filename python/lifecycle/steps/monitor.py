"""The step monitor: delete old payloads, measure the champion on newer labels, and write the drift report."""

import json
import math
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.exits import PermanentError
from lifecycle.model_repository import BadVersion, read_version
from lifecycle.payloads import FOLDER
from lifecycle.steps import drift_report, retention, tracking
from lifecycle.steps.context import Context
from lifecycle.steps.preprocess import rows_of, shaped, usable
from lifecycle.steps.scoring import Scorer, frame, matrix, measure
from lifecycle.steps.tracking import Tracking
from lifecycle.user_code import UserCode

MOST_ROWS = 50_000
"""Rows of sampled requests after which reading stops, the newest first; it bounds the step's memory."""

REPORTS = "reports"
REQUEST = "request id"
"""Column of labelled rows with the request's id. No feature has this name, because it contains a space."""


def run(context: Context) -> None:
    """Delete old payloads, write `status/error.json`, and log a report with the champion's MLflow run.

    Raises:
        RetryableError: MLflow or the object store does not answer.
        PermanentError: The champion or a batch cannot be read, or the schema's features have changed.
    """
    # Deleting comes first, because it must happen even if measuring the model fails.
    keep_for = context.spec.serving.payload_retention
    deleted = retention.delete_old(context.data, keep_for, datetime.now(UTC))
    if deleted:
        print(f"deleted {deleted} objects of sampled requests that were older than {keep_for}")
    registry = Tracking(context.spec, context.environ)
    champion = registry.by_alias(registry.aliases.champion)
    if champion is None:
        print("nothing serves yet: there is nothing to watch")
        return
    version = int(champion.version)
    files = _files(context, version)
    names = [each["name"] for each in json.loads(files["baseline.json"])["features"]]
    wanted = [each.name for each in context.spec.collection.schema.features]
    if names != wanted:
        raise PermanentError(
            f"version {version} takes {', '.join(names)}, the schema now has {', '.join(wanted)}: "
            "the next run of the pipeline brings a model that fits"
        )
    sampled = _sampled(context, version, len(names)) if context.spec.serving.payloads else []
    batch = _newest(context, champion.tags[tracking.BATCH])
    labelled = None if batch is None else _labelled(context, batch)
    if batch is None or labelled is None:
        print(f"no labels yet that are newer than version {version}'s batch {champion.tags[tracking.BATCH]}")
    else:
        _measure(context, version, files, batch, labelled, sampled)
    _report(context, registry, champion, labelled, sampled, names)


def _files(context: Context, version: int) -> dict[str, bytes]:
    try:
        return read_version(context.models, version)
    except BadVersion as error:
        raise PermanentError(f"the champion, version {version}, cannot be read: {error}") from error


def _newest(context: Context, trained: str) -> str | None:
    """Return the newest collected batch, or None if it is not newer than `trained`, the champion's batch."""
    keys = [key.split("/") for key in context.data.list("raw/")]
    batches = [parts[1] for parts in keys if parts[2:] == ["manifest.json"]]
    newest = max(batches, default="")
    return newest if newest > trained else None


def _labelled(context: Context, batch: str) -> pd.DataFrame:
    """Return features and target of a batch's good rows, and REQUEST if the schema has `requestId`."""
    schema = context.spec.collection.schema
    manifest = context.data.get_json(f"raw/{batch}/manifest.json")
    assert manifest is not None, "it was listed"
    raw = rows_of(replace(context, batch=batch), manifest["sha256"])
    user_code = UserCode.load(context.model_path)
    made = shaped(user_code.call(user_code.features, raw.copy()), raw, schema, str(user_code.path))
    good, _ = usable(made, schema)
    request = schema.request_id
    return good if request is None else good.assign(**{REQUEST: raw.loc[good.index, request]})


def _measure(
    context: Context,
    version: int,
    files: dict[str, bytes],
    batch: str,
    labelled: pd.DataFrame,
    sampled: list[dict[str, Any]],
) -> None:
    gate, schema = context.spec.registry.gate, context.spec.collection.schema
    scorer = Scorer(files["model.onnx"])
    truth, predictions, what = _joined(labelled, sampled, schema.target.name)
    if not len(truth):
        predictions = scorer.predict(matrix(labelled, [each.name for each in schema.features]))
        truth, what = labelled[schema.target.name].to_numpy(), f"all rows of batch {batch}"
    value = measure(truth, predictions, scorer.classes).get(gate.metric, float("nan"))
    print(f"{gate.metric} of version {version} is {value:.6g} on {len(truth)} rows: {what}")
    if not math.isfinite(value):
        raise PermanentError(
            f"{gate.metric} of version {version} on batch {batch} is {value}: it cannot be watched"
        )
    found = {
        "version": version,
        "metric": gate.metric,
        "value": value,
        "rows": len(truth),
        "measuredAt": time.time(),
    }
    context.models.put_json("status/error.json", found)


def _joined(labelled: pd.DataFrame, sampled: list[dict[str, Any]], target: str) -> tuple[Any, Any, str]:
    """Join sampled requests and labelled rows by the request's id.

    Returns:
        The true values, shape [rows], the predictions that were served, shape [rows, outputs], and a
        description of the rows. All are empty if nothing could be joined.
    """
    nothing = np.empty(0), np.empty((0, 1)), ""
    if REQUEST not in labelled or not sampled:
        return nothing
    # Requests with several rows and ids that occur twice are left out: their labels cannot be assigned.
    single = {each["requestId"]: each["predictions"][0] for each in sampled if len(each["predictions"]) == 1}
    labels = labelled.drop_duplicates(REQUEST, keep=False).set_index(REQUEST)[target]
    both = [name for name in single if name in labels.index]
    if not both:
        print(f"none of {len(sampled)} sampled requests has a label in this batch by its id")
        return nothing
    predictions = np.asarray([single[name] for name in both], np.float64)
    return (
        labels.loc[both].to_numpy(),
        predictions,
        f"of {len(sampled)} sampled requests those with a label by their id",
    )


def _sampled(context: Context, version: int, inputs: int) -> list[dict[str, Any]]:
    """Return the newest sampled requests of this version, until they have MOST_ROWS rows.

    Requests are left out if they contain null (NaN or an infinity) or another number of features than
    `inputs`.
    """
    found: list[dict[str, Any]] = []
    rows = 0
    # Keys sort by time, because the objects' names begin with it.
    for key in reversed(context.data.list(f"{FOLDER}{version}/")):
        for line in reversed((context.data.get(key) or b"").splitlines()):
            each = json.loads(line)
            values = [*each["features"], *each["predictions"]]
            if (
                all(value is not None for row in values for value in row)
                and len(each["features"][0]) == inputs
            ):
                found.append(each)
                rows += len(each["features"])
                if rows >= MOST_ROWS:
                    return found
    return found


def _report(
    context: Context,
    registry: Tracking,
    champion: Any,
    labelled: pd.DataFrame | None,
    sampled: list[dict[str, Any]],
    names: list[str],
) -> None:
    trained = context.data.get(f"runs/{champion.tags[tracking.RUN]}/train.parquet")
    if trained is None:
        raise PermanentError(
            f"runs/{champion.tags[tracking.RUN]}/train.parquet is gone: without it there is no report on "
            f"version {champion.version}"
        )
    if sampled:
        current, what = (
            pd.DataFrame([row for each in sampled for row in each["features"]], columns=names),
            "requests",
        )
    elif labelled is not None:
        current, what = labelled[names], "batch"
    else:
        print("no report: neither sampled requests nor a newer batch to compare with")
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"drift-{what}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.html"
        path.write_text(drift_report.html(frame(trained)[names], current), encoding="utf-8")
        registry.log_file(champion.run_id, path, REPORTS)
        print(f"report on {len(current)} rows: {REPORTS}/{path.name}")
    registry.print_page_url(champion.run_id)
