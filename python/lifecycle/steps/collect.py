"""Step 1, collect: fetch a batch from the source, check it, and store good and bad rows apart."""

import hashlib
import io
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, assert_never

import pandas as pd

from lifecycle.batches import Period, period_of
from lifecycle.exits import RetryableError
from lifecycle.sources import http, python, s3, sql
from lifecycle.sources.raw_batch import RawBatch
from lifecycle.spec import HttpSource, PythonSource, S3Source, SqlSource
from lifecycle.steps import expectations
from lifecycle.steps.context import Context
from lifecycle.store import json_bytes
from lifecycle.user_code import UserCode


def run(context: Context) -> None:
    """Write `raw/<batch>/`, `runs/<run>/collect.json` and `status/batch.json`.

    Collecting the same bytes under the same schema again changes nothing. If the source's bytes or the schema
    changed, the new files are written beside the old ones, and the old manifest is kept under another key.

    Raises:
        RetryableError: The period has not ended, its batch is not published, or the source or the object
            store does not answer.
        PermanentError: The source cannot have this batch or refuses the request, or too many rows are bad.
    """
    period = period_of(context.batch, context.spec.collection.source)
    if period.end > datetime.now(UTC):
        raise RetryableError(f"batch {period.batch} is not complete before {period.end:%FT%TZ}")
    wanted = list(context.spec.collection.schema.columns)
    with tempfile.TemporaryDirectory() as folder:
        raw_batch = fetch(context, period, wanted, Path(folder))
    print(f"{raw_batch.origin}: {len(raw_batch.table)} rows, sha256 {raw_batch.sha256}")
    manifest = existing_manifest(context, raw_batch) or write_batch(context, raw_batch, period)
    bad = manifest["quarantined"]
    print(f"batch {period.batch}: {manifest['rows']} good rows, {bad['total']} bad {bad['reasons']}")
    context.data.put_json(
        context.key("collect.json"),
        {"run": context.run}
        | {key: manifest[key] for key in ("batch", "sourceSha256", "sha256", "rows", "quarantined")},
    )
    report(context, manifest)


def fetch(context: Context, period: Period, wanted: Sequence[str], folder: Path) -> RawBatch:
    """Fetch the batch with the module of the source's type.

    Args:
        context: Names the source, the environment and model.py.
        period: The batch's period.
        wanted: Names of the columns to read.
        folder: A temporary folder for downloads.

    Raises:
        RetryableError: The source does not answer or does not have the batch yet.
        PermanentError: The source refuses the request, or its data cannot be read.
    """
    source = context.spec.collection.source
    if isinstance(source, HttpSource):
        return http.fetch(source, period, wanted, folder)
    if isinstance(source, S3Source):
        return s3.fetch(source, period, wanted, folder)
    if isinstance(source, SqlSource):
        return sql.fetch(source, period, wanted, context.environ)
    if isinstance(source, PythonSource):
        return python.fetch(UserCode.load(context.model_path), period, wanted)
    assert_never(source)


def existing_manifest(context: Context, raw_batch: RawBatch) -> dict[str, Any] | None:
    """Return the batch's manifest if it is of the same bytes and schema, and its data still exists."""
    manifest = context.data.get_json(manifest_key(context.batch))
    if manifest is None:
        return None
    same = (manifest["sourceSha256"], manifest["schemaSha256"]) == (raw_batch.sha256, schema_sha256(context))
    if not same or not context.data.list(data_key(context.batch, manifest["sha256"])):
        return None
    print("found: the batch was collected before, and nothing about it has changed")
    return manifest


def write_batch(context: Context, raw_batch: RawBatch, period: Period) -> dict[str, Any]:
    """Check a batch and write its good rows, its bad rows and, last, its manifest.

    Raises:
        PermanentError: The batch does not meet the schema.
    """
    checked = expectations.check(raw_batch.table, context.spec.collection.schema, period)
    data = parquet(checked.good)
    sha256 = hashlib.sha256(data).hexdigest()
    context.data.put(data_key(period.batch, sha256), data)
    bad = parquet(checked.bad) if len(checked.bad) else None
    bad_sha256 = None if bad is None else hashlib.sha256(bad).hexdigest()
    if bad is not None:
        context.data.put(f"raw/{period.batch}/quarantine-{bad_sha256}.parquet", bad)
    if raw_batch.dropped:
        print(f"not in the schema, left out: {', '.join(raw_batch.dropped)}")
    manifest = {
        "batch": period.batch,
        "periodStart": period.start.timestamp(),
        "periodEnd": period.end.timestamp(),
        "source": raw_batch.origin,
        "sourceSha256": raw_batch.sha256,
        "schemaSha256": schema_sha256(context),
        "sha256": sha256,
        "rows": len(checked.good),
        "quarantined": {"total": len(checked.bad), "reasons": checked.reasons},
        "quarantineSha256": bad_sha256,
        "droppedColumns": list(raw_batch.dropped),
        "collectedAt": time.time(),
    }
    keep_earlier(context, manifest)
    context.data.put_json(manifest_key(period.batch), manifest)
    return manifest


def keep_earlier(context: Context, manifest: dict[str, Any]) -> None:
    """Copy an existing manifest of other bytes or of another schema to a key of its own."""
    earlier = context.data.get_json(manifest_key(context.batch))
    if earlier is None:
        return
    changed = earlier["sourceSha256"] != manifest["sourceSha256"]
    if not changed and earlier["schemaSha256"] == manifest["schemaSha256"]:
        return
    key = f"raw/{context.batch}/manifest-{hashlib.sha256(json_bytes(earlier)).hexdigest()}.json"
    context.data.put_json(key, earlier)
    how = "changed after the fact" if changed else "was checked by another schema"
    print(
        f"batch {context.batch} {how}: before, {earlier['rows']} rows of source "
        f"{earlier['sourceSha256']}, now {manifest['rows']} of {manifest['sourceSha256']}; "
        f"the earlier manifest is {key}"
    )


def report(context: Context, manifest: dict[str, Any]) -> None:
    """Write status/batch.json for the sidecar's metrics, unless it is of a newer batch (in a backfill)."""
    shown = context.models.get_json("status/batch.json")
    if shown is not None and shown["periodEnd"] > manifest["periodEnd"]:
        return
    context.models.put_json(
        "status/batch.json",
        {key: manifest[key] for key in ("batch", "periodEnd", "collectedAt", "rows")}
        | {"quarantined": manifest["quarantined"]["total"]},
    )


def manifest_key(batch: str) -> str:
    """Return the key of a batch's manifest."""
    return f"raw/{batch}/manifest.json"


def data_key(batch: str, sha256: str) -> str:
    """Return the key of a batch's good rows; `sha256` is the hash of the Parquet file."""
    return f"raw/{batch}/data-{sha256}.parquet"


def schema_sha256(context: Context) -> str:
    """Return the hash of the schema: under another schema the same bytes must be checked again."""
    return hashlib.sha256(json_bytes(asdict(context.spec.collection.schema))).hexdigest()


def parquet(frame: pd.DataFrame) -> bytes:
    """Serialize a table as a Parquet file, without its index."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()
