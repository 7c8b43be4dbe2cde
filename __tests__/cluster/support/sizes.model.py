"""A model that finds what a thing of some size weighs."""

import pandas as pd
from sklearn.linear_model import LinearRegression


def features(rows: pd.DataFrame) -> pd.DataFrame:
    """The size as the feature, and the weight as the target."""
    return rows[["size", "weight"]]


def train(rows: pd.DataFrame) -> LinearRegression:
    """The factor between size and weight that the batch shows."""
    return LinearRegression().fit(rows[["size"]], rows["weight"])
