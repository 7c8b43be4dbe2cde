"""How far a served model's prediction may differ from the trained model's."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

TOLERANCE = 1e-4
"""Absolute for expected values up to 1 in size, relative to the expected value above."""


def distance(answers: ArrayLike, expected: ArrayLike) -> NDArray[np.float64]:
    """Return |answers - expected| / max(1, |expected|) for each value; NaN if either is NaN.

    Args:
        answers: Any shape.
        expected: The same shape as `answers`.

    Returns:
        float64, the same shape.
    """
    wanted = np.asarray(expected, np.float64)
    far = np.abs(np.asarray(answers, np.float64) - wanted) / np.maximum(1.0, np.abs(wanted))
    return np.asarray(far, np.float64)
