"""What a served model says, and how far that lies from the truth."""

import json
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
from numpy.typing import NDArray
from sklearn import metrics

# It would tell its makers of every session.
onnxruntime.disable_telemetry_events()

Floats = NDArray[np.float64]
Served = NDArray[np.float32]

INPUT = "features"
OUTPUT = "prediction"
CLASSES = "classes"
"""Key of the ONNX metadata that names the classes, a JSON list in the order of the outputs."""

REGRESSION = ("mae", "rmse", "r2")
CLASSIFICATION = ("accuracy", "log_loss", "f1")
ROWS_AT_ONCE = 4096
SMALLEST_PROBABILITY = 1e-15
"""What a class that was held impossible counts as: the logarithm of 0 would hide all other rows."""


class Scorer:
    """An ONNX model as Triton serves it: `features` [rows, inputs] to `prediction` [rows, outputs].

    `classes` are the labels behind the outputs of a classification, None for a regression.
    """

    def __init__(self, model: bytes) -> None:
        """Load it with onnxruntime, on the CPU.

        Raises:
            onnxruntime's own errors: It cannot be loaded.
        """
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.outputs: int = self._session.get_outputs()[0].shape[1]
        classes = self._session.get_modelmeta().custom_metadata_map.get(CLASSES)
        self.classes: list[Any] | None = None if classes is None else json.loads(classes)

    def predict(self, rows: Served) -> Served:
        """Answer for rows of shape [rows, inputs] with predictions of shape [rows, outputs]."""
        parts = [
            self._session.run([OUTPUT], {INPUT: rows[start : start + ROWS_AT_ONCE]})[0]
            for start in range(0, len(rows), ROWS_AT_ONCE)
        ]
        return np.concatenate(parts) if parts else np.empty((0, self.outputs), np.float32)


def measure(
    truth: NDArray[Any], predictions: NDArray[Any], classes: Sequence[Any] | None
) -> dict[str, float]:
    """Every metric of these predictions.

    Args:
        truth: Shape [rows]: values, or labels as in `classes`.
        predictions: Shape [rows, 1] for a regression, the probabilities [rows, classes] otherwise.
        classes: The label of each column, None for a regression.

    Returns:
        The metrics of REGRESSION or CLASSIFICATION; all NaN where a prediction is not finite, or there are no
        rows.
    """
    names = REGRESSION if classes is None else CLASSIFICATION
    if len(truth) == 0 or not np.isfinite(predictions).all():
        return dict.fromkeys(names, float("nan"))
    values = (
        _regression(truth, predictions[:, 0])
        if classes is None
        else _classification(np.asarray(truth), predictions, np.asarray(classes))
    )
    return dict(zip(names, map(float, values), strict=True))


def matrix(rows: pd.DataFrame, names: Sequence[str]) -> Served:
    """These columns, in this order, as the model is asked: float32 of shape [rows, names]."""
    return np.ascontiguousarray(rows[list(names)].to_numpy(dtype=np.float32, na_value=np.nan))


def frame(parquet: bytes) -> pd.DataFrame:
    """Read a table."""
    return pd.read_parquet(BytesIO(parquet))


def _regression(truth: NDArray[Any], values: NDArray[Any]) -> tuple[float, float, float]:
    error = np.asarray(truth, np.float64) - np.asarray(values, np.float64)
    # Of one row there is no variance to explain.
    r2 = metrics.r2_score(truth, values) if len(truth) > 1 else 0.0
    return float(np.abs(error).mean()), float(np.sqrt((error**2).mean())), float(r2)


def _classification(
    truth: NDArray[Any], probabilities: NDArray[Any], classes: NDArray[Any]
) -> tuple[float, float, float]:
    chosen = classes[np.argmax(probabilities, axis=1)]
    # A label that the model never saw has no column: its probability is 0.
    mine = (truth[:, None] == classes[None, :]) * probabilities
    loss = -np.log(np.clip(mine.sum(axis=1, dtype=np.float64), SMALLEST_PROBABILITY, 1.0)).mean()
    two = len(classes) == 2 and bool(np.isin(truth, classes).all())
    kind = {"average": "binary", "pos_label": classes[1]} if two else {"average": "macro"}
    f1 = metrics.f1_score(truth, chosen, zero_division=0, **kind)
    return float((truth == chosen).mean()), float(loss), float(f1)
