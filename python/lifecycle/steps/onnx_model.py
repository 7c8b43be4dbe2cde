"""Exports a trained model to ONNX with one input and one output, and checks its predictions.

Triton's ONNX Runtime backend serves the result; docs/lifecycle.md describes the tensors.
"""

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import onnx
import pandas as pd
import skl2onnx
from onnx import ModelProto, TensorProto, helper
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from lifecycle.exits import PermanentError
from lifecycle.steps.scoring import CLASSES, INPUT, OUTPUT, Floats, Scorer, matrix
from lifecycle.steps.tolerance import TOLERANCE, distance

BATCHES = (1, 7, 256)
"""Batch sizes at which predictions are compared, because Triton batches rows of several requests."""

OPSET = {"": 17, "ai.onnx.ml": 3}
"""ONNX operator sets of the export. They are not the newest, so that older Triton releases load the model."""

BOOSTERS = ("xgboost", "lightgbm")


@dataclass(frozen=True)
class Exported:
    """An exported model that passed the checks.

    Attributes:
        model: The ONNX model, from `features` float32 [rows, inputs] to `prediction` float32 [rows, outputs].
        outputs: Number of outputs.
        classes: The label of each output of a classification; None for a regression.
        difference: Largest `tolerance.distance` from the trained model's predictions.
    """

    model: bytes
    outputs: int
    classes: list[Any] | None
    difference: float


def export(trained: Any, names: Sequence[str], rows: pd.DataFrame) -> Exported:
    """Export a trained model to ONNX and compare its predictions with the trained model's.

    Args:
        trained: A scikit-learn estimator or Pipeline, a model of xgboost or lightgbm with scikit-learn's
            interface, or an ONNX model.
        names: The features, in the order of the exported model's input.
        rows: At least one row with these columns, for the comparison.

    Raises:
        PermanentError: The model cannot be exported, or the exported model's predictions differ by more than
            TOLERANCE.
    """
    expected = predictions(trained, names, rows)
    classes = _classes(trained, expected.shape[1])
    converted = _converted(trained, names)
    if not any(each.domain in ("", "ai.onnx") for each in converted.opset_import):
        # A graph of tree operators may lack the default domain, which the nodes that we add need.
        converted.opset_import.append(helper.make_opsetid("", OPSET[""]))
    _one_input(converted, names, trained)
    _one_output(converted, expected.shape[1])
    if classes is not None:
        helper.set_model_props(converted, {CLASSES: json.dumps(classes)})
    model = converted.SerializeToString()
    difference = _check(model, matrix(rows, names), expected, names)
    return Exported(model, expected.shape[1], classes, difference)


def predictions(trained: Any, names: Sequence[str], rows: pd.DataFrame) -> Floats:
    """Return the trained model's own predictions, float64, shape [rows, outputs].

    A classifier has one output for each class, its probability; a regression has one output.

    Args:
        trained: As in `export`.
        names: As in `export`.
        rows: Rows with these columns.

    Raises:
        PermanentError: The model has no suitable method, expects other features, or is a regression with
            several outputs.
    """
    if isinstance(trained, ModelProto):
        answers = _run_original(trained, names, rows)
    else:
        if not hasattr(trained, "predict"):
            raise PermanentError(
                "train() must return a fitted scikit-learn estimator, a Pipeline or an ONNX model, "
                f"got {type(trained).__name__}"
            )
        given = rows[_columns(trained, names)]
        if not hasattr(trained, "feature_names_in_"):
            given = given.to_numpy(dtype=np.float64, na_value=np.nan)
        ask = "predict_proba" if is_classifier(trained) else "predict"
        if not hasattr(trained, ask):
            raise PermanentError(
                f"a classifier is served by its probabilities, and {type(trained).__name__} has none"
            )
        answers = np.asarray(getattr(trained, ask)(given), dtype=np.float64)
    shaped: Floats = answers.reshape(len(rows), -1)
    if not isinstance(trained, ModelProto) and not is_classifier(trained) and shaped.shape[1] != 1:
        raise PermanentError(f"a model predicts one target, this one says {shaped.shape[1]} numbers a row")
    return shaped


def _booster(trained: Any) -> str:
    """Return the gradient boosting library that the model belongs to, or an empty text."""
    library = type(trained).__module__.split(".")[0]
    return library if library in BOOSTERS else ""


def _columns(trained: Any, names: Sequence[str]) -> list[str]:
    """Return the columns that the model was fitted on, in its own order."""
    if hasattr(trained, "feature_names_in_"):
        columns = [str(name) for name in trained.feature_names_in_]
        unknown = [name for name in columns if name not in names]
        if unknown:
            raise PermanentError(
                f"the model was trained on {', '.join(unknown)}, which the schema's features do not name; "
                f"they are {', '.join(names)}"
            )
        return columns
    width = getattr(trained, "n_features_in_", len(names))
    if width != len(names):
        raise PermanentError(
            f"the model was trained on {width} columns, the schema has {len(names)} features"
        )
    return list(names)


def _run_original(trained: ModelProto, names: Sequence[str], rows: pd.DataFrame) -> Any:
    """Return the predictions of the ONNX model that `train` returned, before its tensors are renamed."""
    inputs, output = _graph_inputs(trained), _answer(trained)
    given = matrix(rows, names)
    kinds = {TensorProto.FLOAT: np.float32, TensorProto.DOUBLE: np.float64, TensorProto.INT64: np.int64}
    by_name = {each.name: kinds.get(each.type.tensor_type.elem_type, np.float32) for each in inputs}
    if len(inputs) == 1:
        feeds = {name: given.astype(kind) for name, kind in by_name.items()}
    else:
        _named(inputs, names)
        feeds = {name: given[:, [names.index(name)]].astype(kind) for name, kind in by_name.items()}
    ort: Any = import_module("onnxruntime")
    try:
        session = ort.InferenceSession(trained.SerializeToString(), providers=["CPUExecutionProvider"])
        return np.asarray(session.run([output.name], feeds)[0], np.float64)
    # ONNX Runtime's errors have no common base class; any of them means that the model cannot be run.
    except Exception as error:
        raise PermanentError(f"the ONNX model that train() returned cannot be run: {_line(error)}") from error


def _classes(trained: Any, outputs: int) -> list[Any] | None:
    """Return the label of each output as values that JSON can hold; None for a regression."""
    if isinstance(trained, ModelProto):
        given = {each.key: each.value for each in trained.metadata_props}.get(CLASSES)
        if given is not None:
            return list(json.loads(given))
        return list(range(outputs)) if outputs > 1 else None
    if not is_classifier(trained):
        return None
    labels = np.asarray(trained.classes_)
    if len(labels) < 2:
        raise PermanentError(
            f"a classifier needs two classes at least, the training rows hold only {labels.tolist()}"
        )
    return list(labels.tolist())


def _converted(trained: Any, names: Sequence[str]) -> ModelProto:
    """Convert the model to ONNX; inputs and outputs are still the converter's."""
    if isinstance(trained, ModelProto):
        copy = ModelProto()
        copy.CopyFrom(trained)
        return copy
    columns = _columns(trained, names)
    options = {"zipmap": False} if is_classifier(trained) else None
    try:
        if _booster(trained):
            return _boosted(trained, _booster(trained), len(columns))
        typed: Any = skl2onnx.common.data_types.FloatTensorType
        types = (
            [(name, typed([None, 1])) for name in columns]
            if _by_name(trained)
            else [(INPUT, typed([None, len(columns)]))]
        )
        return skl2onnx.convert_sklearn(trained, initial_types=types, options=options, target_opset=OPSET)
    # The converters' errors have no common base class; any of them means that the model cannot be exported.
    except Exception as error:
        raise PermanentError(
            f"{type(trained).__name__} cannot be exported to ONNX: {_line(error)}"
        ) from error


def _boosted(trained: Any, booster: str, width: int) -> ModelProto:
    tools = import_module("onnxmltools")
    if booster == "xgboost":
        # onnxmltools accepts only the feature names f0, f1, …; a copy leaves the trained model unchanged.
        trained = deepcopy(trained)
        trained.get_booster().feature_names = [f"f{number}" for number in range(width)]
    kind = import_module("onnxmltools.convert.common.data_types").FloatTensorType
    # Only lightgbm's converter has the option zipmap; xgboost's never adds a ZipMap node.
    options = {"zipmap": False} if booster == "lightgbm" else {}
    convert = getattr(tools, f"convert_{booster}")
    return convert(trained, initial_types=[(INPUT, kind([None, width]))], target_opset=15, **options)


def _by_name(trained: Any) -> bool:
    """Return whether a ColumnTransformer in the model selects columns by name."""
    if isinstance(trained, Pipeline):
        return any(_by_name(step) for _, step in trained.steps)
    if not isinstance(trained, ColumnTransformer):
        return False
    return any(
        isinstance(name, str) for *_, columns in trained.transformers_ for name in np.atleast_1d(columns)
    )


def _one_input(model: ModelProto, names: Sequence[str], trained: Any) -> None:
    """Make `features` the only input; added nodes select, reorder and cast its columns for the model."""
    inputs = _graph_inputs(model)
    nodes = []
    if len(inputs) == 1:
        columns = list(names) if isinstance(trained, ModelProto) else _columns(trained, names)
        before = [([names.index(name) for name in columns], inputs[0])]
    else:
        _named(inputs, names)
        before = [([names.index(each.name)], each) for each in inputs]
    for number, (places, each) in enumerate(before):
        inner = f"features_to_model_{number}"
        _rename_input(model, each.name, inner)
        picked = f"features_picked_{number}"
        indices = helper.make_tensor(f"features_places_{number}", TensorProto.INT64, [len(places)], places)
        model.graph.initializer.append(indices)
        nodes.append(helper.make_node("Gather", [INPUT, indices.name], [picked], axis=1))
        nodes.append(helper.make_node("Cast", [picked], [inner], to=each.type.tensor_type.elem_type))
    original_nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *original_nodes])
    del model.graph.input[:]
    shape = ["rows", len(names)]
    model.graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape))


def _one_output(model: ModelProto, outputs: int) -> None:
    """Make `prediction` the only output; a classifier's other outputs, such as the label, are dropped."""
    answer = _answer(model)
    inner = "model_to_prediction"
    for node in model.graph.node:
        node.output[:] = [inner if name == answer.name else name for name in node.output]
        node.input[:] = [inner if name == answer.name else name for name in node.input]
    shape = helper.make_tensor("prediction_shape", TensorProto.INT64, [2], [-1, outputs])
    model.graph.initializer.append(shape)
    model.graph.node.append(helper.make_node("Cast", [inner], ["prediction_float"], to=TensorProto.FLOAT))
    model.graph.node.append(helper.make_node("Reshape", ["prediction_float", shape.name], [OUTPUT]))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["rows", outputs]))


def _graph_inputs(model: ModelProto) -> list[Any]:
    constants = {each.name for each in model.graph.initializer}
    return [each for each in model.graph.input if each.name not in constants]


def _named(inputs: Sequence[Any], names: Sequence[str]) -> None:
    unknown = [each.name for each in inputs if each.name not in names]
    if unknown:
        raise PermanentError(
            f"an ONNX model needs one input, or one for each feature by its name; got {', '.join(unknown)}, "
            f"the features are {', '.join(names)}"
        )


def _rename_input(model: ModelProto, old: str, new: str) -> None:
    for node in model.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]


def _answer(model: ModelProto) -> Any:
    """Return the output with the prediction: the only output, or else the only tensor of floats."""
    outputs = list(model.graph.output)
    real = (TensorProto.FLOAT, TensorProto.DOUBLE)
    floats = [each for each in outputs if each.type.tensor_type.elem_type in real]
    if len(outputs) == 1 and outputs[0].type.HasField("tensor_type"):
        return outputs[0]
    if len(floats) != 1:
        listed = ", ".join(each.name for each in outputs)
        raise PermanentError(
            f"one output of the ONNX model must be its prediction, a tensor of floats; it has {listed}"
        )
    return floats[0]


def _check(model: bytes, rows: Any, expected: Floats, names: Sequence[str]) -> float:
    try:
        onnx.checker.check_model(model)
        scorer = Scorer(model)
        answers = scorer.predict(rows)
        by_size = {
            size: _in_batches(scorer, np.resize(rows, (max(BATCHES), rows.shape[1])), size)
            for size in BATCHES
        }
    # The errors of ONNX's checker and of ONNX Runtime have no common base class.
    except Exception as error:
        raise PermanentError(f"the exported model cannot be run: {_line(error)}") from error
    if answers.shape != expected.shape:
        raise PermanentError(
            f"the exported model answers {list(answers.shape)}, expected were {list(expected.shape)}"
        )
    if not np.isfinite(answers).all():
        row = int(np.argmin(np.isfinite(answers).all(axis=1)))
        raise PermanentError(f"the exported model says {answers[row].tolist()} to {_row(rows, row, names)}")
    largest = by_size[max(BATCHES)]
    for size, batched in by_size.items():
        if batched.shape != largest.shape or not distance(batched, largest).max() <= TOLERANCE:
            raise PermanentError(
                f"a row's answer must not depend on its batch, and in batches of {size} it is another than "
                f"in batches of {len(largest)}"
            )
    far = distance(answers, expected)
    if not far.max() <= TOLERANCE:
        row = int(np.argmax(np.where(np.isnan(far), np.inf, far).max(axis=1)))
        wrong = int((~(far <= TOLERANCE)).any(axis=1).sum())
        raise PermanentError(
            f"the exported model answers otherwise than the trained one in {wrong} of {len(far)} rows; the "
            f"worst is {_row(rows, row, names)}: {answers[row].tolist()}, not {expected[row].tolist()}. "
            "Serving counts in float32: leave out a scaler before trees, which need none, and values of more "
            "digits"
        )
    return float(far.max())


def _in_batches(scorer: Scorer, rows: Any, size: int) -> Any:
    return np.concatenate([scorer.predict(rows[start : start + size]) for start in range(0, len(rows), size)])


def _row(rows: Any, row: int, names: Sequence[str]) -> str:
    return ", ".join(f"{name}={value:.9g}" for name, value in zip(names, rows[row], strict=True))


def _line(error: Exception) -> str:
    """Return the first 300 characters of an error as one line; converters' messages contain whole graphs."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
