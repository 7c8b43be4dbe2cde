"""How far a model's answer may lie from what is expected, here and in whatever serves it."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

TOLERANCE = 1e-4
"""Absolute up to 1, relative beyond."""


def distance(answers: ArrayLike, expected: ArrayLike) -> NDArray[np.float64]:
    """How far each answer lies from what is expected: absolute up to 1, relative beyond. NaN for NaN.

    Args:
        answers: Of any shape.
        expected: Of the same shape, which is that of the result too.
    """
    wanted = np.asarray(expected, np.float64)
    far = np.abs(np.asarray(answers, np.float64) - wanted) / np.maximum(1.0, np.abs(wanted))
    return np.asarray(far, np.float64)
