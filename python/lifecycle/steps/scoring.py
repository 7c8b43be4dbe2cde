"""Predictions of an exported ONNX model, and metrics of predictions against the true values."""

import json
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
from numpy.typing import NDArray
from sklearn import metrics

# Otherwise ONNX Runtime's official builds may send telemetry to Microsoft.
onnxruntime.disable_telemetry_events()

Floats = NDArray[np.float64]
Served = NDArray[np.float32]

INPUT = "features"
OUTPUT = "prediction"
CLASSES = "classes"
"""Key in the ONNX model's metadata; its value is a JSON list of the classes in the order of the outputs."""

REGRESSION = ("mae", "rmse", "r2")
CLASSIFICATION = ("accuracy", "log_loss", "f1")
ROWS_AT_ONCE = 4096
SMALLEST_PROBABILITY = 1e-15
"""Lower bound of a probability in the log loss: the logarithm of 0 would make the loss infinite."""


class Scorer:
    """An ONNX model as Triton serves it: `features` [rows, inputs] to `prediction` [rows, outputs], float32.

    Attributes:
        outputs: Number of outputs.
        classes: The label of each output of a classification; None for a regression.
    """

    def __init__(self, model: bytes) -> None:
        """Load the bytes of an ONNX model with ONNX Runtime, on the CPU.

        Raises:
            Exception: ONNX Runtime's own errors, which have no common base class.
        """
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.outputs: int = self._session.get_outputs()[0].shape[1]
        classes = self._session.get_modelmeta().custom_metadata_map.get(CLASSES)
        self.classes: list[Any] | None = None if classes is None else json.loads(classes)

    def predict(self, rows: Served) -> Served:
        """Return predictions of shape [rows, outputs] for rows of shape [rows, inputs], both float32."""
        parts = [
            self._session.run([OUTPUT], {INPUT: rows[start : start + ROWS_AT_ONCE]})[0]
            for start in range(0, len(rows), ROWS_AT_ONCE)
        ]
        return np.concatenate(parts) if parts else np.empty((0, self.outputs), np.float32)


def measure(
    truth: NDArray[Any], predictions: NDArray[Any], classes: Sequence[Any] | None
) -> dict[str, float]:
    """Compute all metrics of a regression or a classification.

    Args:
        truth: Shape [rows]: true values, or labels as in `classes`.
        predictions: Shape [rows, 1] for a regression; probabilities, shape [rows, classes], otherwise.
        classes: The label of each column of `predictions`; None for a regression.

    Returns:
        A value for each name in REGRESSION or CLASSIFICATION. All are NaN if a prediction is not finite or
        there are no rows.
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
    """Return the named columns, in this order, as the model's input: float32, shape [rows, names]."""
    return np.ascontiguousarray(rows[list(names)].to_numpy(dtype=np.float32, na_value=np.nan))


def frame(parquet: bytes) -> pd.DataFrame:
    """Read a table from the bytes of a Parquet file."""
    return pd.read_parquet(BytesIO(parquet))


def _regression(truth: NDArray[Any], values: NDArray[Any]) -> tuple[float, float, float]:
    error = np.asarray(truth, np.float64) - np.asarray(values, np.float64)
    # R² is undefined for a single row.
    r2 = metrics.r2_score(truth, values) if len(truth) > 1 else 0.0
    return float(np.abs(error).mean()), float(np.sqrt((error**2).mean())), float(r2)


def _classification(
    truth: NDArray[Any], probabilities: NDArray[Any], classes: NDArray[Any]
) -> tuple[float, float, float]:
    chosen = classes[np.argmax(probabilities, axis=1)]
    # A label that is not in `classes` has no column; its probability counts as 0.
    mine = (truth[:, None] == classes[None, :]) * probabilities
    loss = -np.log(np.clip(mine.sum(axis=1, dtype=np.float64), SMALLEST_PROBABILITY, 1.0)).mean()
    two = len(classes) == 2 and bool(np.isin(truth, classes).all())
    kind = {"average": "binary", "pos_label": classes[1]} if two else {"average": "macro"}
    f1 = metrics.f1_score(truth, chosen, zero_division=0, **kind)
    return float((truth == chosen).mean()), float(loss), float(f1)
