"""A small pipeline in the object store, its model.py, and the contexts of its steps."""

import hashlib
import json
import os
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.batches import Period
from lifecycle.names import PREPROCESS, RUN_STEPS
from lifecycle.spec import Spec
from lifecycle.steps import preprocess
from lifecycle.steps.collect import data_key, parquet
from lifecycle.steps.context import Context
from lifecycle.steps.tracking import Tracking
from lifecycle.store import Store
from small_triton import SmallTriton
from synthesized import spec_of

LINEAR = """
from sklearn.linear_model import LinearRegression

def features(trips):
    return trips[["distance", "hour"]].assign(minutes=trips["minutes"])

def train(rows):
    return LinearRegression().fit(rows[["distance", "hour"]], rows["minutes"])
"""
"""A good model: the target of `trips` is a linear function of the features."""

MEAN = LINEAR.replace("LinearRegression()", "Lasso(alpha=1e6)").replace(
    "import LinearRegression", "import Lasso"
)
"""A worse model: it always predicts the mean."""

SCHEMA: dict[str, Any] = {
    "columns": {
        "at": {"type": "datetime", "nullable": False},
        "distance": {"type": "float", "nullable": False},
        "hour": {"type": "int", "nullable": False},
        "minutes": {"type": "float", "nullable": False},
        "request": {"type": "string", "nullable": True},
    },
    "timestamp": "at",
    "features": [{"name": "distance", "type": "float"}, {"name": "hour", "type": "int"}],
    "target": {"name": "minutes", "type": "float"},
    "maxQuarantined": 0.1,
}


STEPS = {
    name: import_module(f"lifecycle.steps.{name}").run
    for name in RUN_STEPS[RUN_STEPS.index(PREPROCESS) + 1 :]
}
"""What follows once a batch is preprocessed, in the order of a run."""


@dataclass
class Pipeline:
    """One pipeline in the object store: the contexts of its steps, and the stand-in for its replicas."""

    name: str
    folder: Path
    triton: SmallTriton
    changes: dict[str, Any] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)

    def context(self, run: str, batch: str = "2024-01", code: str = LINEAR) -> Context:
        """The context of this run's steps; spec.json and model.py are written to the folder."""
        (self.folder / f"model-{run}.py").write_text(code)
        path = self.folder / "spec.json"
        path.write_text(json.dumps(self.spec()))
        spec = Spec.load(path)
        return Context(
            spec=spec,
            run=run,
            batch=batch,
            model_path=self.folder / f"model-{run}.py",
            data=Store("data", spec.collection.prefix),
            models=Store("models", spec.serving.prefix),
            environ={**os.environ, **self.environ},
        )

    def spec(self) -> dict[str, Any]:
        return spec_of(
            self.name,
            {"type": "python", "period": "month"},
            json.loads(json.dumps(SCHEMA)),
            **{"registry.gate.limit": 50, "serving.maxBatchSize": 16, "serving.gpus": 0} | self.changes,
        )

    def preprocessed(self, run: str, rows: pd.DataFrame | None = None, **given: Any) -> Context:
        """Collect and preprocess a batch in this run; return its context."""
        context = self.context(run, **given)
        collect(context, trips(context.batch) if rows is None else rows)
        preprocess.run(context)
        return context

    def tracking(self) -> Tracking:
        context = self.context("look")
        return Tracking(context.spec, context.environ, patience=5)

    def until(self, last: str, run: str, **given: Any) -> Context:
        """Run all steps up to `last`; return the run's context."""
        context = self.preprocessed(run, **given)
        for name, step in STEPS.items():
            step(context)
            if name == last:
                break
        return context

    def alias(self, name: str) -> int | None:
        found = self.tracking().by_alias(name)
        return None if found is None else int(found.version)


def trips(batch: str, rows: int = 400, noise: float = 1.0) -> pd.DataFrame:
    """A monthly batch of trips, one a minute: minutes = 3 * distance + hour + normal noise."""
    rng = np.random.default_rng(0)
    start = pd.Timestamp(f"{batch}-01")
    distance, hour = rng.uniform(0, 20, rows).round(2), rng.integers(0, 24, rows)
    return pd.DataFrame(
        {
            "at": start + pd.to_timedelta(np.arange(rows), unit="min"),
            "distance": distance,
            "hour": hour,
            "minutes": 3 * distance + hour + rng.normal(0, noise, rows),
            "request": [f"{batch}-{row}" for row in range(rows)],
        }
    )


def collect(context: Context, rows: pd.DataFrame) -> None:
    """Write a batch and its manifest as the step `collect` does."""
    data = parquet(rows)
    sha256 = hashlib.sha256(data).hexdigest()
    period = Period.of(context.batch)
    context.data.put(data_key(context.batch, sha256), data)
    found = {"batch": context.batch, "sha256": sha256, "sourceSha256": sha256, "rows": len(rows)}
    found["quarantined"] = {"total": 0, "reasons": {}}
    times = {"periodStart": period.start.timestamp(), "periodEnd": period.end.timestamp(), "collectedAt": 0}
    context.data.put_json(f"raw/{context.batch}/manifest.json", found | times | {"source": "tests"})
    context.data.put_json(context.key("collect.json"), {"run": context.run} | found)
