"""The first step: a batch is fetched, checked, and laid down beside what was wrong with it."""

import hashlib
import io
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from lifecycle.batches import Period, period_of
from lifecycle.exits import RetryableError
from lifecycle.sources import http, python, s3, sql
from lifecycle.sources.raw_batch import RawBatch
from lifecycle.spec import HttpSource, S3Source, SqlSource
from lifecycle.steps import expectations
from lifecycle.steps.context import Context
from lifecycle.store import json_bytes
from lifecycle.user_code import UserCode


def run(context: Context) -> None:
    """Leave `raw/<batch>/`, `runs/<run>/collect.json` and `status/batch.json`.

    The same bytes from the source under the same schema change nothing. Other
    bytes are laid beside the earlier ones, whose manifest is kept.

    Raises:
        RetryableError: The period has not ended, its batch is not published, or the source or the store is
            away.
        PermanentError: There is no such batch, the source refuses, or the batch is bad.
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
    """Ask the source."""
    source = context.spec.collection.source
    if isinstance(source, HttpSource):
        return http.fetch(source, period, wanted, folder)
    if isinstance(source, S3Source):
        return s3.fetch(source, period, wanted, folder)
    if isinstance(source, SqlSource):
        return sql.fetch(source, period, wanted, context.environ)
    return python.fetch(UserCode.load(context.model_path), period, wanted)


def existing_manifest(context: Context, raw_batch: RawBatch) -> dict[str, Any] | None:
    """The batch's manifest, where it says the same bytes and schema and its data is there."""
    manifest = context.data.get_json(manifest_key(context.batch))
    if manifest is None:
        return None
    same = (manifest["sourceSha256"], manifest["schemaSha256"]) == (raw_batch.sha256, schema_sha256(context))
    if not same or not context.data.list(data_key(context.batch, manifest["sha256"])):
        return None
    print("found: the batch was collected before, and nothing about it has changed")
    return manifest


def write_batch(context: Context, raw_batch: RawBatch, period: Period) -> dict[str, Any]:
    """Check a batch and write it, its manifest last."""
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
    """Move the manifest of what the source said before, or of what the schema asked for, out of the way."""
    earlier = context.data.get_json(manifest_key(context.batch))
    if earlier is None:
        return
    changed = earlier["sourceSha256"] != manifest["sourceSha256"]
    if not changed and earlier["schemaSha256"] == manifest["schemaSha256"]:
        return
    kept = f"raw/{context.batch}/manifest-{hashlib.sha256(json_bytes(earlier)).hexdigest()}.json"
    context.data.put_json(kept, earlier)
    how = "changed after the fact" if changed else "was checked by another schema"
    print(
        f"batch {context.batch} {how}: before, {earlier['rows']} rows of source "
        f"{earlier['sourceSha256']}, now {manifest['rows']} of {manifest['sourceSha256']}; "
        f"the earlier manifest is {kept}"
    )


def report(context: Context, manifest: dict[str, Any]) -> None:
    """Tell the sidecar of the newest batch; a backfill of older ones says nothing of freshness."""
    shown = context.models.get_json("status/batch.json")
    if shown is not None and shown["periodEnd"] > manifest["periodEnd"]:
        return
    context.models.put_json(
        "status/batch.json",
        {key: manifest[key] for key in ("batch", "periodEnd", "collectedAt", "rows")}
        | {"quarantined": manifest["quarantined"]["total"]},
    )


def manifest_key(batch: str) -> str:
    """The key of a batch's manifest."""
    return f"raw/{batch}/manifest.json"


def data_key(batch: str, sha256: str) -> str:
    """The key of a batch's good rows."""
    return f"raw/{batch}/data-{sha256}.parquet"


def schema_sha256(context: Context) -> str:
    """The hash of what a good batch is: what was good before may be bad now."""
    return hashlib.sha256(json_bytes(asdict(context.spec.collection.schema))).hexdigest()


def parquet(frame: pd.DataFrame) -> bytes:
    """A table as the bytes of a parquet file."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()
