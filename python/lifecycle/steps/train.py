"""Step 3, train: call `train` of model.py, track the run in MLflow, and make the files that serving needs."""

import hashlib
import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import onnx
import pandas as pd

from lifecycle import baseline
from lifecycle.exits import PermanentError, StepExit
from lifecycle.names import ENVIRONMENT
from lifecycle.spec import Feature, Schema
from lifecycle.steps import tracking
from lifecycle.steps.context import Context
from lifecycle.steps.onnx_model import Exported, export, predictions
from lifecycle.steps.scoring import INPUT, OUTPUT, Floats, Scorer, frame, matrix, measure
from lifecycle.steps.tolerance import TOLERANCE
from lifecycle.steps.tracking import SERVING, Tracking
from lifecycle.store import json_bytes
from lifecycle.user_code import UserCode

INPUTS = "lifecycle.inputs"
"""Tag of an MLflow run: hash of the training data, the holdout, model.py and the spec."""
MODEL_ID = "lifecycle.model_id"
STOPPED = "lifecycle.stopped"
"""Tag of a failed MLflow run: the error message."""

GOLDEN_ROWS = 32
"""Usual number of rows in golden.json; there are more if a model has many features or outputs."""
BASELINE_ROWS = 100_000
"""Largest number of training rows from which the baseline is computed; enough for ten bins."""
PARAMETERS = 200
"""Largest number of the model's parameters that are logged."""
CHARACTERS = 500
"""Largest length of a logged parameter's name or value."""


def run(context: Context) -> None:
    """Create a finished MLflow run with the model and the artifacts `serving/`, and `runs/<run>/train.json`.

    If a finished MLflow run with the same inputs exists, its result is used and nothing is trained.
    Unfinished MLflow runs of earlier attempts are marked KILLED.

    Raises:
        RetryableError: MLflow or the object store does not answer.
        PermanentError: `train` of model.py fails, its model cannot be exported, or the gate's metric is
            missing or not finite.
    """
    preprocessed = context.result("preprocess")
    user_code = UserCode.load(context.model_path)
    rows = {name: _table(context, preprocessed[name]) for name in ("train", "holdout")}
    registry = Tracking(context.spec, context.environ)
    experiment = registry.experiment()
    tags = _tags(context, preprocessed, user_code, registry)
    for each in registry.runs(experiment, context.run):
        if each.info.status == "FINISHED" and each.data.tags.get(INPUTS) == tags[INPUTS]:
            print(f"found: trained before from the same inputs, as MLflow's run {each.info.run_id}")
            _leave(context, registry, each.info.run_id)
            return
        if each.info.status in ("RUNNING", "SCHEDULED"):
            registry.end(each.info.run_id, "KILLED")
    run_id = registry.start(experiment, context.run, tags)
    registry.print_page_url(run_id)
    try:
        _train(context, registry, user_code, rows, run_id)
    except StepExit as end:
        registry.tag_run(run_id, STOPPED, str(end)[:CHARACTERS])
        registry.end(run_id, "FAILED")
        raise
    registry.end(run_id, "FINISHED")
    _leave(context, registry, run_id)


def as_typed(rows: pd.DataFrame, columns: Sequence[Feature]) -> pd.DataFrame:
    """Return the columns with the schema's types: int64 or float64.

    The values were rounded to float32 in `preprocess`, because Triton gets float32: a model must not learn
    from digits that are missing in serving.

    Args:
        rows: A table that has the columns, as float32.
        columns: Features or target, in the order of the result.
    """
    types = {each.name: "int64" if each.type == "int" else "float64" for each in columns}
    return rows[list(types)].astype(types)


def _table(context: Context, described: Mapping[str, Any]) -> pd.DataFrame:
    """Read a table that `preprocess` wrote, and convert it to the schema's types."""
    data = context.data.get(described["key"])
    if data is None or hashlib.sha256(data).hexdigest() != described["sha256"]:
        state = "is gone" if data is None else "is not what preprocess left"
        raise PermanentError(f"{described['key']} {state}: run 'preprocess' again")
    schema = context.spec.collection.schema
    return as_typed(frame(data), (*schema.features, schema.target))


def _tags(
    context: Context, preprocessed: Mapping[str, Any], user_code: UserCode, registry: Tracking
) -> dict[str, str]:
    inputs = {
        **{name: preprocessed[name]["sha256"] for name in ("train", "holdout")},
        "code": user_code.sha256,
        "spec": context.spec.sha256,
    }
    champion = registry.by_alias(registry.aliases.champion)
    tags = {
        tracking.RUN: context.run,
        tracking.BATCH: context.batch,
        tracking.BATCH_SHA256: preprocessed["inputs"]["sha256"],
        tracking.CODE_SHA256: user_code.sha256,
        tracking.SPEC_SHA256: context.spec.sha256,
        tracking.AIRFLOW_RUN: context.environ.get(ENVIRONMENT.airflow_run_url, ""),
        tracking.PARENT_VERSION: "" if champion is None else str(champion.version),
        INPUTS: hashlib.sha256(json_bytes(inputs)).hexdigest(),
    }
    return {name: value for name, value in tags.items() if value}


def _train(
    context: Context, registry: Tracking, user_code: UserCode, rows: Mapping[str, pd.DataFrame], run_id: str
) -> None:
    schema, holdout = context.spec.collection.schema, rows["holdout"]
    names = [each.name for each in schema.features]
    began = time.monotonic()
    # A copy, because `train` may modify its argument, and the baseline needs the original rows.
    trained = user_code.call(user_code.train, rows["train"].copy())
    seconds = time.monotonic() - began
    print(f"trained on {len(rows['train'])} rows in {seconds:.1f} s: {type(trained).__name__}")
    parameters = {
        "train_rows": str(len(rows["train"])),
        "holdout_rows": str(len(holdout)),
        **_parameters(trained),
    }
    registry.log_parameters(run_id, parameters)
    exported = export(trained, names, holdout)
    print(
        f"exported to ONNX: {len(exported.model)} bytes, at most {exported.difference:.2g} from the original"
    )
    answers = predictions(trained, names, holdout)
    metrics = measure(holdout[schema.target.name].to_numpy(), answers, exported.classes)
    _judgeable(metrics, context.spec.registry.gate.metric)
    extra = {"train_seconds": seconds, "onnx_difference": exported.difference}
    registry.log_metrics(run_id, metrics | extra, time.time())
    print(f"on the holdout of {len(holdout)} rows: {', '.join(f'{k}={v:.6g}' for k, v in metrics.items())}")
    _log_model(registry, run_id, exported, matrix(holdout[:GOLDEN_ROWS], names))
    files = {
        "model.onnx": exported.model,
        "baseline.json": json_bytes(_baseline(exported, rows["train"], schema)),
        "golden.json": json_bytes(_golden(matrix(holdout, names), answers)),
        "config.json": json_bytes(_config(context, exported)),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder) / name
            path.write_bytes(content)
            registry.log_file(run_id, path, SERVING)


def _parameters(trained: Any) -> dict[str, str]:
    """Return the estimator's parameters as text, at most PARAMETERS of them.

    Nested estimators and collections are left out: `get_params(deep=True)` lists their parameters as well.
    """
    if not hasattr(trained, "get_params"):
        return {}
    plain = {
        name: str(value)
        for name, value in sorted(trained.get_params(deep=True).items())
        if not hasattr(value, "get_params") and not isinstance(value, list | tuple | dict)
    }
    logged = dict(list(plain.items())[:PARAMETERS])
    if len(logged) < len(plain):
        print(f"logged are the first {PARAMETERS} of {len(plain)} parameters")
    return {name[:CHARACTERS]: value[:CHARACTERS] for name, value in logged.items()}


def _judgeable(metrics: Mapping[str, float], wanted: str) -> None:
    """Raise PermanentError if the gate's metric is missing or a metric is not finite."""
    if wanted not in metrics:
        raise PermanentError(
            f"the gate judges by '{wanted}', and what can be measured of this model is {', '.join(metrics)}: "
            "name one of these in the pipeline's gate"
        )
    odd = {name: value for name, value in metrics.items() if not math.isfinite(value)}
    if odd:
        listed = ", ".join(f"{name}={value}" for name, value in odd.items())
        raise PermanentError(f"the model cannot be judged: on the holdout {listed}")


def _log_model(registry: Tracking, run_id: str, exported: Exported, rows: Any) -> None:
    """Log the model in MLflow's ONNX flavor, which MLflow's clients can load, and tag the run with its id."""
    inputs = mlflow.types.TensorSpec(np.dtype(np.float32), (-1, rows.shape[1]), INPUT)
    outputs = mlflow.types.TensorSpec(np.dtype(np.float32), (-1, exported.outputs), OUTPUT)
    signature = mlflow.models.ModelSignature(
        inputs=mlflow.types.Schema([inputs]), outputs=mlflow.types.Schema([outputs])
    )
    # Without this list MLflow finds the requirements by running the model in a new process (half a minute).
    requirements = [f"{name}=={installed(name)}" for name in ("numpy", "onnx", "onnxruntime")]
    made = registry.log_model(
        run_id,
        mlflow.onnx,
        onnx_model=onnx.load_from_string(exported.model),
        signature=signature,
        pip_requirements=requirements,
        save_as_external_data=False,
    )
    registry.tag_run(run_id, MODEL_ID, made)


def _baseline(exported: Exported, rows: pd.DataFrame, schema: Schema) -> dict[str, Any]:
    names = [each.name for each in schema.features]
    some = rows if len(rows) <= BASELINE_ROWS else rows.sample(BASELINE_ROWS, random_state=0)
    answers = Scorer(exported.model).predict(matrix(some, names))
    return baseline.build({name: some[name].to_numpy() for name in names}, schema.target.name, answers)


def _golden(rows: Any, answers: Floats) -> dict[str, Any]:
    """Return the content of golden.json: rows of the holdout and the trained model's predictions for them.

    The rows with the smallest and largest value of each feature and output come first, then rows at equal
    distances in time.
    """
    extremes = [
        int(place) for column in [*rows.T, *answers.T] for place in (np.argmin(column), np.argmax(column))
    ]
    spread = np.linspace(0, len(rows) - 1, GOLDEN_ROWS).round().astype(int).tolist()
    places = list(dict.fromkeys([*extremes, *spread]))[: max(GOLDEN_ROWS, len(set(extremes)))]
    return {"inputs": rows[places].tolist(), "outputs": answers[places].tolist(), "tolerance": TOLERANCE}


def _config(context: Context, exported: Exported) -> dict[str, Any]:
    serving = context.spec.serving
    return {
        "input": INPUT,
        "inputs": len(context.spec.collection.schema.features),
        "output": OUTPUT,
        "outputs": exported.outputs,
        "maxBatchSize": serving.max_batch_size,
        "maxQueueDelayMicroseconds": serving.max_queue_delay_microseconds,
        "instances": serving.instances,
        "gpus": serving.gpus,
        "traceOneIn": serving.trace_one_in,
        "payloads": serving.payloads,
    }


def _leave(context: Context, registry: Tracking, run_id: str) -> None:
    """Write train.json from the MLflow run alone, so that a repeated step writes the same content."""
    found = registry.run(run_id)
    context.data.put_json(
        context.key("train.json"),
        {
            "run": context.run,
            "batch": context.batch,
            "runId": run_id,
            "modelId": found.data.tags[MODEL_ID],
            "inputs": found.data.tags[INPUTS],
            "metrics": found.data.metrics,
        },
    )
    registry.print_page_url(run_id)
