"""Raw batches of trips, and the spec.json and model.py of a small pipeline for them."""

import hashlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.spec import Spec
from lifecycle.steps.context import Context
from lifecycle.store import Store
from synthesized import spec_of

MODEL = """
import pandas as pd

def features(trips):
    return pd.DataFrame({"distance": trips["distance"], "minutes": trips["minutes"]})

def train(rows):
    return rows
"""


def spec_json(**source: Any) -> dict[str, Any]:
    """A spec.json; the keywords are `collection.source`, by default monthly files over HTTP."""
    schema = {
        "columns": {
            "begun": {"type": "datetime", "nullable": False},
            "distance": {"type": "float", "nullable": False, "min": 0, "max": 100},
            "minutes": {"type": "float", "nullable": False},
        },
        "timestamp": "begun",
        "features": [{"name": "distance", "type": "float", "min": 0, "max": 100}],
        "target": {"name": "minutes", "type": "float", "min": 1, "max": 120},
        "maxQuarantined": 0.1,
    }
    monthly = {"type": "http", "url": "http://localhost/{{ month }}.parquet"}
    return spec_of("trips", source or monthly, schema)


def trips(rows: int = 400, month: str = "2024-01") -> pd.DataFrame:
    """Valid trips of a month, one a minute, without duplicates."""
    random = np.random.default_rng(0)
    distance = random.uniform(0.1, 40, rows)
    return pd.DataFrame(
        {
            "begun": pd.Timestamp(f"{month}-01") + pd.to_timedelta(np.arange(rows), unit="min"),
            "distance": distance,
            "minutes": 2 + distance * 2,
            "driver": "somebody",
        }
    )


def parquet(frame: pd.DataFrame) -> bytes:
    """A table as the bytes of a Parquet file."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def read(store: Store, key: str) -> pd.DataFrame:
    """The table in the object with this key."""
    data = store.get(key)
    assert data is not None, key
    return pd.read_parquet(io.BytesIO(data))


def sha256(data: bytes) -> str:
    """The SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def context(
    folder: Path,
    raw: dict[str, Any],
    *,
    model: str = MODEL,
    batch: str = "2024-01",
    run: str = "run-1",
    environ: Mapping[str, str] = os.environ,
) -> Context:
    """The context of a step of this pipeline; its spec.json and model.py are written to the folder."""
    (folder / "spec.json").write_text(json.dumps(raw))
    (folder / "model.py").write_text(model)
    return Context(
        spec=Spec.load(folder / "spec.json"),
        run=run,
        batch=batch,
        model_path=folder / "model.py",
        data=Store("data", "trips/", patience=0),
        models=Store("models", "trips/", patience=0),
        environ=environ,
    )
