"""The bins that a model's training data is counted in, and how far live data lies from it.

Every value is taken as Triton's traces print it: float32, six significant digits. An edge is such a value of
the training data, so that one equal to it falls on the same side there and here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# A share of nothing would make the index infinite.
SMALLEST_SHARE = 1e-4


def build(features: Mapping[str, ArrayLike], prediction_name: str, prediction: ArrayLike) -> dict[str, Any]:
    """What `baseline.json` says.

    Args:
        features: For each feature, in the model's order, its training values, shape [rows].
        prediction_name: What the prediction is called.
        prediction: What the model says to them, shape [rows] or [rows, outputs].

    Raises:
        ValueError: A feature, or the prediction, has no finite value.
    """
    return {
        "features": [_described(name, values) for name, values in features.items()],
        "prediction": _described(prediction_name, prediction_value(prediction)),
    }


def bins(values: ArrayLike, most: int = 10) -> tuple[list[float], list[float]]:
    """Bins that hold about the same share of these values each.

    Few distinct values give fewer bins. One alone gives three: below it, it, above it.

    Args:
        values: Shape [rows]. NaN is left out.
        most: How many bins at most.

    Returns:
        The inner edges, ascending and distinct, and the share of each bin, one more than edges. A value `x`
        is in bin `bisect_left(edges, x)`. The shares add up to 1.

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
        # Nothing lies above the largest value: it bounds no bin.
        edges = [float(edge) for edge in np.unique(quantiles) if edge < finite.max()]
        # All but the largest may be too few for a quantile: then the largest has a bin of its own.
        edges = edges or [float(finite[finite < finite.max()].max())]
    counts, _ = count(edges, given)
    return edges, [float(share) for share in counts / counts.sum()]


def count(edges: Sequence[float], values: ArrayLike) -> tuple[NDArray[np.int64], int]:
    """How many values fall into each bin.

    Args:
        edges: Inner edges, ascending.
        values: Shape [rows].

    Returns:
        The counts, shape [len(edges) + 1], and how many values are NaN.
    """
    given = as_printed(values)
    known = given[~np.isnan(given)]
    places = np.searchsorted(np.asarray(edges, dtype=np.float64), known, side="left")
    return np.bincount(places, minlength=len(edges) + 1).astype(np.int64), int(given.size - known.size)


def prediction_value(outputs: ArrayLike) -> Floats:
    """The one number of each prediction that is counted.

    Args:
        outputs: Shape [rows], or [rows, outputs].

    Returns:
        Shape [rows]. The value itself where there is one output, of two classes the second's probability,
        of more the index of the likeliest class.
    """
    given: Floats = np.asarray(outputs, dtype=np.float64)
    if given.ndim < 2:
        return given.ravel()
    if given.shape[1] <= 2:
        return given[:, -1]
    likeliest: Floats = np.argmax(given, axis=1).astype(np.float64)
    return likeliest


def as_printed(values: ArrayLike) -> Floats:
    """These values as float32 of six significant digits, shape [values].

    Rounded as C++ prints: half of the last digit goes to the even one. Exact from 1e-17 on; below, the last
    bit may differ.
    """
    with np.errstate(over="ignore"):
        given = np.asarray(values, dtype=np.float32).ravel().astype(np.float64)
    printed = given.copy()
    some = np.isfinite(given) & (given != 0)
    # Powers of ten up to 1e22 are exact, and so is each step with them.
    digits = 5 - np.floor(np.log10(np.abs(given[some]))).astype(np.int64)
    up, down = 10.0 ** np.maximum(digits, 0), 10.0 ** np.maximum(-digits, 0)
    printed[some] = np.rint(given[some] * up / down) / up * down
    return printed


def psi(ratios: ArrayLike, counts: ArrayLike) -> float:
    """The population stability index: 0 for the same shares; above 0.2 is commonly called drift.

    Args:
        ratios: The training data's share of each bin, shape [bins].
        counts: How many live values fell into each, shape [bins].

    Returns:
        The index; NaN where nothing was counted.
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
