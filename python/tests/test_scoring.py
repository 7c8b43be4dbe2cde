import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from lifecycle.steps.scoring import matrix, measure


def test_a_regression_is_measured_as_scikit_learn_does() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.normal(size=100), rng.normal(size=(100, 1))
    found = measure(truth, predicted, None)
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(truth, predicted))
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(truth, predicted))
    assert found["r2"] == pytest.approx(metrics.r2_score(truth, predicted))


@pytest.mark.parametrize("classes", [[0, 1], [1, 2, 5]])
def test_a_classification_is_measured_as_scikit_learn_does(classes: list[int]) -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.choice(classes, 100), rng.dirichlet(np.ones(len(classes)), 100)
    found = measure(truth, predicted, classes)
    chosen = np.asarray(classes)[predicted.argmax(axis=1)]
    average = "binary" if len(classes) == 2 else "macro"
    assert found["log_loss"] == pytest.approx(metrics.log_loss(truth, predicted, labels=classes))
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, chosen))
    assert found["f1"] == pytest.approx(metrics.f1_score(truth, chosen, average=average))


def test_a_label_that_the_model_never_saw_counts_as_wrong() -> None:
    found = measure(np.asarray([0, 1, 7]), np.asarray([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]), [0, 1])
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["log_loss"] > 10


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_predictions_that_are_no_numbers_have_no_metric(odd: float) -> None:
    found = measure(np.zeros(2), np.asarray([[0.0], [odd]]), None)
    assert set(found) == {"mae", "rmse", "r2"}
    assert all(np.isnan(value) for value in found.values())
    assert all(np.isnan(value) for value in measure(np.zeros(0), np.zeros((0, 2)), [0, 1]).values())


def test_one_row_has_no_variance_to_explain() -> None:
    assert measure(np.ones(1), np.zeros((1, 1)), None) == {"mae": 1.0, "rmse": 1.0, "r2": 0.0}


def test_columns_come_in_the_order_that_was_asked_for() -> None:
    rows = pd.DataFrame({"a": [1, 2], "b": pd.array([0.5, None], dtype="Float64")})
    found = matrix(rows, ["b", "a"])
    assert found.dtype == np.float32
    assert np.array_equal(found, np.asarray([[0.5, 1], [np.nan, 2]], np.float32), equal_nan=True)
