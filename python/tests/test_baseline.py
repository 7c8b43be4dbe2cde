import bisect
import json
import math

import numpy as np
import pytest

from lifecycle import baseline


def test_each_bin_of_a_continuous_feature_holds_a_tenth() -> None:
    edges, ratios = baseline.bins(np.random.default_rng(1).normal(size=10_000))
    assert len(edges) == 9
    assert ratios == pytest.approx([0.1] * 10, abs=0.002)
    assert edges == sorted(set(edges))


def test_a_value_is_in_the_bin_that_bisect_left_says() -> None:
    values = np.random.default_rng(2).choice([0.1, 0.25, 3.5, 7, 1e7 + 1, -1e-9], 500)
    edges, ratios = baseline.bins(values)
    expected = np.zeros(len(edges) + 1)
    for value in baseline.as_printed(values):
        expected[bisect.bisect_left(edges, value)] += 1
    counts, nan = baseline.count(edges, values)
    assert counts.tolist() == expected.tolist()
    assert nan == 0
    assert ratios == pytest.approx(expected / 500)


@pytest.mark.parametrize(
    ("values", "edges", "ratios"),
    [
        ([0, 0, 0, 1], [0], [0.75, 0.25]),
        ([5] * 99 + [1], [1], [0.01, 0.99]),
        ([math.nan, 1, 2, math.inf], [1], [1 / 3, 2 / 3]),
    ],
)
def test_few_distinct_values_have_few_bins(
    values: list[float], edges: list[float], ratios: list[float]
) -> None:
    assert baseline.bins(values) == (edges, ratios)


def test_a_constant_feature_has_bins_for_smaller_and_larger_values() -> None:
    edges, ratios = baseline.bins([3.3, 3.3])
    assert ratios == [0, 1, 0]
    assert baseline.count(edges, [3.2, 3.3, 3.3, 3.4, math.nan])[0].tolist() == [1, 2, 1]
    assert baseline.count(edges, [math.nan])[1] == 1


def test_a_feature_without_a_finite_value_is_named() -> None:
    with pytest.raises(
        ValueError, match="'hour': bins need at least one finite value, got 2 values without any"
    ):
        baseline.build({"hour": [math.nan, math.inf]}, "duration", [1.0, 2.0])


def test_values_are_rounded_as_triton_prints_them() -> None:
    random = np.random.default_rng(3)
    values = np.concatenate(
        [
            random.normal(size=2000) * 10.0 ** random.integers(-12, 20, 2000),
            [0, 100000.5, 100001.5, 1000005, 999999.5, -999999.5, 16777216, np.inf, -np.inf],
        ]
    ).astype(np.float32)
    expected = [float(f"{float(value):.6g}") for value in values]
    assert baseline.as_printed(values).tolist() == expected
    assert baseline.as_printed(expected).tolist() == expected


def test_the_prediction_that_is_counted_depends_on_the_number_of_outputs() -> None:
    assert baseline.prediction_value([1, 2]).tolist() == [1, 2]
    assert baseline.prediction_value([[1], [2]]).tolist() == [1, 2]
    assert baseline.prediction_value([[0.25, 0.75]]).tolist() == [0.75]
    assert baseline.prediction_value([[0.2, 0.1, 0.7], [0.5, 0.3, 0.2]]).tolist() == [2, 0]


def test_a_baseline_is_json_in_the_features_order() -> None:
    built = baseline.build({"b": [1, 2, 3], "a": [4, 5, 6]}, "duration", [[1.0], [2.0], [3.0]])
    assert json.loads(json.dumps(built, allow_nan=False)) == built
    assert [each["name"] for each in built["features"]] == ["b", "a"]
    assert built["prediction"] == {"name": "duration", "edges": [1, 2], "ratios": pytest.approx([1 / 3] * 3)}


def test_psi_is_nothing_for_the_same_shares_and_large_for_others() -> None:
    assert baseline.psi([0.5, 0.5], [100, 100]) == 0
    assert baseline.psi([0.5, 0.5], [75, 25]) == pytest.approx(0.25 * math.log(1.5) - 0.25 * math.log(0.5))
    assert baseline.psi([1, 0], [0, 10]) > 10
    assert math.isnan(baseline.psi([0.5, 0.5], [0, 0]))
