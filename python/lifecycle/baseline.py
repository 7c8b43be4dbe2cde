"""Histogram bins of a model's training data, and the distance of live data from them (PSI).

Triton's traces print float32 values with six significant digits. All values and edges are rounded the same
way here, so that a value equal to an edge falls into the same bin in training and in serving.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# Lower bound of a share in `psi`: a share of 0 would make the index infinite.
SMALLEST_SHARE = 1e-4


def build(features: Mapping[str, ArrayLike], prediction_name: str, prediction: ArrayLike) -> dict[str, Any]:
    """Return the content of `baseline.json`.

    Args:
        features: The training values of each feature, shape [rows], in the order of the model's inputs.
        prediction_name: Name of the prediction.
        prediction: The model's predictions for the same rows, shape [rows] or [rows, outputs].

    Returns:
        `{"features": [bins, …], "prediction": bins}`, where bins is `{"name", "edges", "ratios"}`.

    Raises:
        ValueError: A feature or the prediction has no finite value.
    """
    return {
        "features": [_described(name, values) for name, values in features.items()],
        "prediction": _described(prediction_name, prediction_value(prediction)),
    }


def bins(values: ArrayLike, most: int = 10) -> tuple[list[float], list[float]]:
    """Compute bins that each hold about the same share of the values.

    Few distinct values give fewer bins. A single distinct value gives three bins: below, equal and above.

    Args:
        values: Shape [rows]. NaN is ignored.
        most: Largest number of bins.

    Returns:
        The inner edges, strictly ascending, and the share of each bin (one more than there are edges). A
        value `x` belongs to bin `bisect_left(edges, x)`. The shares add up to 1.

    Raises:
        ValueError: There is no finite value.
    """
    given = as_printed(values)
    finite = given[np.isfinite(given)]
    if finite.size == 0:
        raise ValueError(f"bins need at least one finite value, got {given.size} values without any")
    if finite.min() == finite.max():
        edges = [float(np.nextafter(finite[0], -np.inf)), float(finite[0])]
    else:
        quantiles = np.quantile(finite, np.linspace(0, 1, most + 1)[1:-1], method="inverted_cdf")
        # The largest value is no edge, because the bin above it would be empty.
        edges = [float(edge) for edge in np.unique(quantiles) if edge < finite.max()]
        # All quantiles may equal the largest value. One edge then separates the largest from the others.
        edges = edges or [float(finite[finite < finite.max()].max())]
    counts, _ = count(edges, given)
    return edges, [float(share) for share in counts / counts.sum()]


def count(edges: Sequence[float], values: ArrayLike) -> tuple[NDArray[np.int64], int]:
    """Count the values in each bin.

    Args:
        edges: Inner edges, ascending.
        values: Shape [rows].

    Returns:
        The counts, shape [len(edges) + 1], and the number of NaN values.
    """
    given = as_printed(values)
    known = given[~np.isnan(given)]
    places = np.searchsorted(np.asarray(edges, dtype=np.float64), known, side="left")
    return np.bincount(places, minlength=len(edges) + 1).astype(np.int64), int(given.size - known.size)


def prediction_value(outputs: ArrayLike) -> Floats:
    """Reduce each prediction to the single number that is put into bins.

    Args:
        outputs: Shape [rows] or [rows, outputs].

    Returns:
        Shape [rows]: with one output its value, with two the second one (the probability of the second
        class), with more the index of the largest.
    """
    given: Floats = np.asarray(outputs, dtype=np.float64)
    if given.ndim < 2:
        return given.ravel()
    if given.shape[1] <= 2:
        return given[:, -1]
    likeliest: Floats = np.argmax(given, axis=1).astype(np.float64)
    return likeliest


def as_printed(values: ArrayLike) -> Floats:
    """Round to float32 with six significant digits, as Triton prints values in its traces.

    Halves are rounded to even, as in C++ and `%.6g`. The result is exact for magnitudes from 1e-17; for
    smaller ones the last bit may differ.

    Args:
        values: Any shape.

    Returns:
        The rounded values as float64, flattened to shape [values].
    """
    with np.errstate(over="ignore"):
        given = np.asarray(values, dtype=np.float32).ravel().astype(np.float64)
    printed = given.copy()
    scalable = np.isfinite(given) & (given != 0)
    # A float64 represents the powers of ten up to 1e22 exactly.
    digits = 5 - np.floor(np.log10(np.abs(given[scalable]))).astype(np.int64)
    up, down = 10.0 ** np.maximum(digits, 0), 10.0 ** np.maximum(-digits, 0)
    printed[scalable] = np.rint(given[scalable] * up / down) / up * down
    return printed


def psi(ratios: ArrayLike, counts: ArrayLike) -> float:
    """Return the population stability index (PSI) between training data and live data.

    PSI = sum over bins of (actual - expected) * ln(actual / expected), where actual and expected are shares;
    see Siddiqi, "Credit Risk Scorecards" (2006). It is 0 for equal shares; values above 0.2 are commonly
    called drift.

    Args:
        ratios: The training data's share of each bin, shape [bins].
        counts: Number of live values in each bin, shape [bins].

    Returns:
        The index, or NaN if all counts are 0.
    """
    live = np.asarray(counts, dtype=np.float64)
    if live.sum() == 0:
        return float("nan")
    actual = np.maximum(live / live.sum(), SMALLEST_SHARE)
    expected = np.maximum(np.asarray(ratios, dtype=np.float64), SMALLEST_SHARE)
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def _described(name: str, values: ArrayLike) -> dict[str, Any]:
    try:
        edges, ratios = bins(values)
    except ValueError as error:
        raise ValueError(f"'{name}': {error}") from error
    return {"name": name, "edges": edges, "ratios": ratios}
