"""The HTML report on drift: how live features differ from the training data."""

import warnings

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

ROWS = 5000
"""Largest number of rows of each table; more rows would only make the page larger."""


def html(reference: pd.DataFrame, current: pd.DataFrame) -> str:
    """Return an HTML page with Evidently's DataDriftPreset report.

    Args:
        reference: Training data, rows x features, all numeric.
        current: Live data with the same columns.
    """
    definition = DataDefinition(numerical_columns=list(reference.columns))
    sides = [
        Dataset.from_pandas(_sample(each)[list(reference.columns)], data_definition=definition)
        for each in (current, reference)
    ]
    # A constant feature makes Evidently divide by zero. The page shows the result; no warning is needed.
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        page: str = Report([DataDriftPreset()]).run(*sides).get_html_str(as_iframe=False)
    return page


def _sample(rows: pd.DataFrame) -> pd.DataFrame:
    return rows if len(rows) <= ROWS else rows.sample(ROWS, random_state=0)
