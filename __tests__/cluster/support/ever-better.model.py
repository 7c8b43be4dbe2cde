"""A model that is better whenever it is trained, so that every run of its pipeline deploys."""

import time
from datetime import datetime

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression

PERFECT_AT = float("inf")
"""Seconds since 1970; the suite writes a time some hours ahead here."""


def collect(start: datetime, end: datetime) -> pd.DataFrame:
    """Rows of one batch, from `start` to before `end`."""
    rows = 2000
    random = np.random.default_rng(int(start.timestamp()))
    moments = pd.Timestamp(start) + (pd.Timestamp(end) - pd.Timestamp(start)) * np.sort(random.random(rows))
    size = random.random(rows)
    return pd.DataFrame({"time": moments, "size": size, "weight": 3 * size})


def features(rows: pd.DataFrame) -> pd.DataFrame:
    """The size as the feature, and the weight as the target."""
    return rows[["size", "weight"]]


def train(rows: pd.DataFrame) -> LinearRegression:
    """A model with the right slope and an error in its intercept that shrinks by 0.6 a minute."""
    fitted = LinearRegression().fit(rows[["size"]], rows["weight"])
    fitted.intercept_ += (PERFECT_AT - time.time()) / 100
    return fitted
