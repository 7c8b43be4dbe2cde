from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from lifecycle.exits import PermanentError
from lifecycle.steps.onnx_model import export
from lifecycle.steps.scoring import Scorer, matrix
from lifecycle.steps.tolerance import TOLERANCE, distance

NAMES = ["distance", "hour", "zone"]
TREES = 10
"""Enough trees for all kinds of nodes; the converter takes 0.2 s for each tree."""


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    distance = rng.uniform(0, 20, 600).astype("float32").astype("float64")
    return pd.DataFrame(
        {"distance": distance, "hour": rng.integers(0, 24, 600), "zone": rng.integers(1, 9, 600)}
    )


@pytest.fixture(scope="module")
def minutes(rows: pd.DataFrame) -> pd.Series:
    return 3 * rows["distance"] + rows["hour"] * (rows["zone"] % 3)


REGRESSIONS: dict[str, Callable[[], Any]] = {
    "linear": LinearRegression,
    "boosted trees": lambda: HistGradientBoostingRegressor(max_iter=TREES),
    "a pipeline": lambda: make_pipeline(StandardScaler(), Ridge()),
    "columns by name": lambda: make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), ["zone"]), (StandardScaler(), ["distance"])
        ),
        Ridge(),
    ),
}


@pytest.mark.parametrize("kind", REGRESSIONS)
@pytest.mark.parametrize("order", [NAMES, NAMES[::-1], ["zone", "distance"]])
def test_a_regression_says_what_the_original_says(
    kind: str, order: list[str], rows: pd.DataFrame, minutes: pd.Series
) -> None:
    trained = REGRESSIONS[kind]().fit(rows[order], minutes)
    exported = export(trained, NAMES, rows)
    predicted = Scorer(exported.model).predict(matrix(rows, NAMES))
    assert predicted.shape == (600, 1)
    assert np.allclose(predicted[:, 0], trained.predict(rows[order]), rtol=TOLERANCE, atol=TOLERANCE)
    assert exported.difference <= TOLERANCE
    assert exported.classes is None


@pytest.mark.parametrize("labels", [[0, 1], [1, 2, 5], ["long", "short"]])
@pytest.mark.parametrize(
    "kind",
    [lambda: make_pipeline(StandardScaler(), LogisticRegression()), lambda: RandomForestClassifier(10)],
)
def test_a_classification_says_the_probability_of_each_class(
    kind: Callable[[], Any], labels: list[Any], rows: pd.DataFrame, minutes: pd.Series
) -> None:
    target = np.asarray(labels)[pd.qcut(minutes, len(labels), labels=False).to_numpy()]
    trained = kind().fit(rows[NAMES], target)
    exported = export(trained, NAMES, rows)
    scorer = Scorer(exported.model)
    predicted = scorer.predict(matrix(rows, NAMES))
    assert np.allclose(predicted, trained.predict_proba(rows[NAMES]), atol=TOLERANCE)
    assert scorer.classes == exported.classes == sorted(labels)


def test_a_model_of_plain_arrays_is_asked_in_the_schemas_order(
    rows: pd.DataFrame, minutes: pd.Series
) -> None:
    trained = LinearRegression().fit(rows[NAMES].to_numpy(), minutes)
    assert export(trained, NAMES, rows).outputs == 1


def test_its_tensors_have_the_names_and_types_of_the_contract(rows: pd.DataFrame, minutes: pd.Series) -> None:
    model = onnx.load_from_string(export(LinearRegression().fit(rows[NAMES], minutes), NAMES, rows).model)
    for tensor, name, width in ((model.graph.input, "features", 3), (model.graph.output, "prediction", 1)):
        (only,) = tensor
        shape = only.type.tensor_type.shape.dim
        assert (only.name, only.type.tensor_type.elem_type) == (name, TensorProto.FLOAT)
        assert (shape[0].dim_param, shape[1].dim_value) == ("rows", width)


def graph(*nodes: Any, inputs: list[Any], outputs: list[Any], constants: dict[str, Any]) -> onnx.ModelProto:
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    made = helper.make_graph(list(nodes), "owner", inputs, outputs, initializers)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def tensor(name: str, shape: list[Any], kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def test_an_onnx_model_of_the_owners_is_served_by_our_names(rows: pd.DataFrame) -> None:
    weights = np.asarray([[1.0], [2.0], [3.0]])
    owners = graph(
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        inputs=[tensor("x", ["n", 3], TensorProto.DOUBLE)],
        outputs=[tensor("y", ["n", 1], TensorProto.DOUBLE)],
        constants={"w": weights},
    )
    exported = export(owners, NAMES, rows)
    predicted = Scorer(exported.model).predict(matrix(rows, NAMES))
    assert np.allclose(predicted, rows[NAMES].to_numpy() @ weights, rtol=1e-5)


def test_an_onnx_model_with_an_input_for_each_feature_is_served(rows: pd.DataFrame) -> None:
    owners = graph(
        helper.make_node("Sub", ["zone", "hour"], ["y"]),
        inputs=[tensor("zone", ["n", 1]), tensor("hour", ["n", 1])],
        outputs=[tensor("y", ["n", 1])],
        constants={},
    )
    predicted = Scorer(export(owners, NAMES, rows).model).predict(matrix(rows, NAMES))
    assert np.allclose(predicted[:, 0], rows["zone"] - rows["hour"])
    strange = graph(
        helper.make_node("Sub", ["zone", "colour"], ["y"]),
        inputs=[tensor("zone", ["n", 1]), tensor("colour", ["n", 1])],
        outputs=[tensor("y", ["n", 1])],
        constants={},
    )
    with pytest.raises(PermanentError, match="one input, or one for each feature by its name; got colour"):
        export(strange, NAMES, rows)


def test_an_onnx_classifier_names_its_classes_or_counts_them(rows: pd.DataFrame) -> None:
    def owners() -> onnx.ModelProto:
        return graph(
            helper.make_node("Gemm", ["x", "w"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["p"], axis=1),
            helper.make_node("ArgMax", ["scores"], ["label"], axis=1),
            inputs=[tensor("x", ["n", 3])],
            outputs=[tensor("label", ["n", 1], TensorProto.INT64), tensor("p", ["n", 2])],
            constants={"w": np.ones((3, 2), np.float32)},
        )

    assert export(owners(), NAMES, rows).classes == [0, 1]
    named = owners()
    helper.set_model_props(named, {"classes": "[4, 7]"})
    assert export(named, NAMES, rows).classes == [4, 7]


def test_an_onnx_model_without_one_prediction_stops(rows: pd.DataFrame) -> None:
    owners = graph(
        helper.make_node("Abs", ["x"], ["a"]),
        helper.make_node("Neg", ["x"], ["b"]),
        inputs=[tensor("x", ["n", 3])],
        outputs=[tensor("a", ["n", 3]), tensor("b", ["n", 3])],
        constants={},
    )
    with pytest.raises(PermanentError, match="must be its prediction, a tensor of floats; it has a, b"):
        export(owners, NAMES, rows)


def test_an_onnx_model_that_cannot_be_run_stops(rows: pd.DataFrame) -> None:
    owners = graph(
        helper.make_node("Abs", ["x"], ["y"]),
        inputs=[tensor("x", ["n", 7])],
        outputs=[tensor("y", ["n", 7])],
        constants={},
    )
    with pytest.raises(PermanentError, match=r"the ONNX model that train\(\) returned cannot be run"):
        export(owners, NAMES, rows)


def test_a_model_of_one_batch_size_stops(rows: pd.DataFrame) -> None:
    owners = graph(
        helper.make_node("Reshape", ["x", "shape"], ["flat"]),
        helper.make_node("ReduceSum", ["flat", "axis"], ["y"], keepdims=1),
        inputs=[tensor("x", ["n", 3])],
        outputs=[tensor("y", ["n", 1])],
        constants={"shape": np.asarray([600, 3]), "axis": np.asarray([1])},
    )
    with pytest.raises(PermanentError, match="the exported model cannot be run"):
        export(owners, NAMES, rows)


def test_an_answer_that_depends_on_its_batch_stops(rows: pd.DataFrame) -> None:
    owners = graph(
        helper.make_node("ReduceSum", ["x", "columns"], ["sum"], keepdims=1),
        helper.make_node("ReduceMean", ["sum"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["sum", "mean"], ["y"]),
        inputs=[tensor("x", ["n", 3])],
        outputs=[tensor("y", ["n", 1])],
        constants={"columns": np.asarray([1])},
    )
    with pytest.raises(PermanentError, match="a row's answer must not depend on its batch"):
        export(owners, NAMES, rows)


def test_answers_that_are_no_numbers_stop(rows: pd.DataFrame) -> None:
    owners = graph(
        helper.make_node("ReduceSum", ["x", "columns"], ["sum"], keepdims=1),
        helper.make_node("Div", ["sum", "zero"], ["y"]),
        inputs=[tensor("x", ["n", 3])],
        outputs=[tensor("y", ["n", 1])],
        constants={"columns": np.asarray([1]), "zero": np.zeros(1, np.float32)},
    )
    with pytest.raises(PermanentError, match=r"the exported model says \[inf\] to distance="):
        export(owners, NAMES, rows)


def test_answers_that_float32_cannot_hold_stop_with_the_worst_row(rows: pd.DataFrame) -> None:
    large = rows.assign(distance=16_777_216.0 + np.arange(600))
    trained = LinearRegression().fit(large[NAMES], large["distance"] - 16_777_216.0)
    with pytest.raises(
        PermanentError, match=r"otherwise than the trained one in \d+ of 600 rows; the worst is distance=1677"
    ):
        export(trained, NAMES, large)


def test_a_scaler_before_trees_stops_with_the_way_out(rows: pd.DataFrame, minutes: pd.Series) -> None:
    trained = make_pipeline(StandardScaler(), HistGradientBoostingRegressor(max_iter=TREES)).fit(
        rows[NAMES], minutes
    )
    with pytest.raises(PermanentError, match="leave out a scaler before trees"):
        export(trained, NAMES, rows)


@pytest.mark.parametrize(
    ("trained", "reason"),
    [
        (
            lambda r, y: object(),
            "must return a fitted scikit-learn estimator, a Pipeline or an ONNX model, got object",
        ),
        (
            lambda r, y: LinearRegression().fit(r[NAMES].assign(more=1), y),
            "trained on more, which the schema's",
        ),
        (
            lambda r, y: LinearRegression().fit(r[NAMES[:2]].to_numpy(), y),
            "on 2 columns, the schema has 3 features",
        ),
        (
            lambda r, y: LinearRegression().fit(r[NAMES], np.c_[y, y]),
            "one target, this one says 2 numbers a row",
        ),
        (
            lambda r, y: RandomForestClassifier(3).fit(r[NAMES], np.zeros(len(r), int)),
            r"needs two classes at least, the training rows hold only \[0\]",
        ),
    ],
)
def test_what_cannot_be_served_stops_with_the_reason(
    trained: Callable[..., Any], reason: str, rows: pd.DataFrame, minutes: pd.Series
) -> None:
    with pytest.raises(PermanentError, match=reason):
        export(trained(rows, minutes), NAMES, rows)


def test_a_classifier_without_probabilities_stops(rows: pd.DataFrame, minutes: pd.Series) -> None:
    from sklearn.svm import LinearSVC

    with pytest.raises(PermanentError, match="served by its probabilities, and LinearSVC has none"):
        export(LinearSVC().fit(rows[NAMES], minutes > 30), NAMES, rows)


def test_an_estimator_that_no_converter_knows_stops(rows: pd.DataFrame, minutes: pd.Series) -> None:
    from sklearn.dummy import DummyRegressor

    with pytest.raises(
        PermanentError, match="DummyRegressor cannot be exported to ONNX: MissingShapeCalculator"
    ):
        export(DummyRegressor().fit(rows[NAMES], minutes), NAMES, rows)


def test_the_distance_is_absolute_up_to_one_and_relative_beyond() -> None:
    assert distance([0.5, 101.0], [0.0, 100.0]).tolist() == [0.5, 0.01]
    assert np.isnan(distance([np.nan], [1.0])).all()
