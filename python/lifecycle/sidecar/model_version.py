"""One version of a model on the local disk, read from its files and validated."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lifecycle.model_repository import BadVersion
from lifecycle.names import TRACE_ONE_IN

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class ModelConfig:
    """The content of `config.json`: names and widths of the tensors, and Triton's settings."""

    input: str
    inputs: int
    output: str
    outputs: int
    max_batch_size: int
    max_queue_delay_microseconds: int
    instances: int
    gpus: int
    trace_one_in: int
    payloads: bool

    def pbtxt(self, name: str, version: int) -> str:
        """Return Triton's `config.pbtxt` that serves this version under the name `name`.

        Format: https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_configuration.md
        """
        kind = "KIND_GPU" if self.gpus > 0 else "KIND_CPU"
        return (
            f'name: "{name}"\n'
            'backend: "onnxruntime"\n'
            f"max_batch_size: {self.max_batch_size}\n"
            f'input [ {{ name: "{self.input}" data_type: TYPE_FP32 dims: [ {self.inputs} ] }} ]\n'
            f'output [ {{ name: "{self.output}" data_type: TYPE_FP32 dims: [ {self.outputs} ] }} ]\n'
            f"instance_group [ {{ count: {self.instances} kind: {kind} }} ]\n"
            f"dynamic_batching {{ max_queue_delay_microseconds: {self.max_queue_delay_microseconds} }}\n"
            f"version_policy {{ specific {{ versions: [ {version} ] }} }}\n"
        )


@dataclass(frozen=True)
class Bins:
    """The bins of one feature: inner edges, ascending, and the training data's share of each bin."""

    name: str
    edges: tuple[float, ...]
    ratios: tuple[float, ...]


@dataclass(frozen=True)
class ModelVersion:
    """A version: the path of its model and the parsed content of its other files.

    Attributes:
        number: Its number in MLflow's registry.
        model: Path of model.onnx.
        config: From config.json.
        features: The bins of each feature, in the order of the model's inputs.
        prediction: The bins of the prediction.
        golden_inputs: Test rows, shape [rows, inputs], float32.
        golden_outputs: The trained model's predictions for them, shape [rows, outputs], float32.
        tolerance: Largest difference from golden_outputs: absolute up to 1 in size, relative above.
    """

    number: int
    model: Path
    config: ModelConfig
    features: tuple[Bins, ...]
    prediction: Bins
    golden_inputs: Rows
    golden_outputs: Rows
    tolerance: float

    @staticmethod
    def read(folder: Path, number: int) -> "ModelVersion":
        """Read and validate the files of a version.

        Raises:
            BadVersion: A file is malformed, or two files contradict each other.
            OSError: A file cannot be read.
        """
        config = _config(_parsed(folder, "config.json"))
        features, prediction = _baseline(_parsed(folder, "baseline.json"))
        if len(features) != config.inputs:
            raise BadVersion(
                f"baseline.json has {len(features)} features, config.json {config.inputs} inputs"
            )
        golden = _parsed(folder, "golden.json")
        tolerance = _number(golden, "golden.json", "tolerance")
        return ModelVersion(
            number=number,
            model=folder / "model.onnx",
            config=config,
            features=features,
            prediction=prediction,
            golden_inputs=_rows(golden, "inputs", config.inputs),
            golden_outputs=_rows(golden, "outputs", config.outputs, golden.get("inputs")),
            tolerance=tolerance,
        )

    def check(self, answers: Rows) -> None:
        """Compare predictions for the golden inputs, shape [rows, outputs], with the golden outputs.

        Raises:
            BadVersion: The shapes differ, or values differ by more than the tolerance.
        """
        if answers.shape != self.golden_outputs.shape:
            raise BadVersion(
                f"answers have the shape {answers.shape}, golden ones {self.golden_outputs.shape}"
            )
        want = self.golden_outputs.astype(np.float64)
        off = np.abs(answers - want) > self.tolerance * np.maximum(1, np.abs(want))
        off |= np.isnan(answers) != np.isnan(want)
        if off.any():
            row, column = (int(place) for place in np.argwhere(off)[0])
            raise BadVersion(
                f"{int(off.any(axis=1).sum())} of {len(want)} golden answers are wrong: row {row} gives "
                f"{answers[row, column]:.6g}, not {want[row, column]:.6g}"
            )


def _parsed(folder: Path, name: str) -> dict[str, Any]:
    try:
        parsed = json.loads((folder / name).read_bytes())
    except ValueError as error:
        raise BadVersion(f"{name} is no JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise BadVersion(f"{name} is no JSON object")
    return parsed


def _config(fields: Mapping[str, Any]) -> ModelConfig:
    def whole(name: str, least: int, default: int | None = None) -> int:
        value = fields.get(name, default)
        if type(value) is not int or value < least:
            raise BadVersion(f"config.json: '{name}' must be a whole number, at least {least}, got {value!r}")
        return value

    def word(name: str) -> str:
        value = fields.get(name)
        if not isinstance(value, str) or not value or '"' in value or "\\" in value:
            raise BadVersion(f"config.json: '{name}' must be a tensor's name, got {value!r}")
        return value

    return ModelConfig(
        input=word("input"),
        inputs=whole("inputs", 1),
        output=word("output"),
        outputs=whole("outputs", 1),
        max_batch_size=whole("maxBatchSize", 1),
        max_queue_delay_microseconds=whole("maxQueueDelayMicroseconds", 0),
        instances=whole("instances", 1),
        gpus=whole("gpus", 0),
        trace_one_in=whole("traceOneIn", 1, TRACE_ONE_IN),
        payloads=fields.get("payloads", False) is True,
    )


def _baseline(fields: Mapping[str, Any]) -> tuple[tuple[Bins, ...], Bins]:
    try:
        features = tuple(_bins(each) for each in fields["features"])
        return features, _bins(fields["prediction"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadVersion(f"baseline.json cannot be read: {error!r}") from error


def _bins(fields: Mapping[str, Any]) -> Bins:
    edges = tuple(float(edge) for edge in fields["edges"])
    ratios = tuple(float(share) for share in fields["ratios"])
    name = str(fields["name"])
    if len(ratios) != len(edges) + 1 or any(low >= high for low, high in pairwise(edges)):
        raise BadVersion(f"baseline.json: '{name}' needs ascending edges and one ratio more")
    return Bins(name, edges, ratios)


def _number(fields: Mapping[str, Any], file: str, name: str) -> float:
    value = fields.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
        raise BadVersion(f"{file}: '{name}' must be a number, at least 0, got {value!r}")
    return float(value)


def _rows(golden: Mapping[str, Any], name: str, width: int, like: Any = None) -> Rows:
    try:
        rows = np.asarray(golden[name], dtype=np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise BadVersion(f"golden.json: '{name}' cannot be read: {error!r}") from error
    if rows.ndim != 2 or len(rows) == 0 or rows.shape[1] != width:
        raise BadVersion(f"golden.json: '{name}' must be rows of {width} numbers, got the shape {rows.shape}")
    if like is not None and len(rows) != len(like):
        raise BadVersion(f"golden.json has {len(like)} inputs and {len(rows)} outputs")
    return rows
