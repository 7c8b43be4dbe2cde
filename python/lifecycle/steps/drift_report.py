"""The report that a person reads: how live features differ from those that the model was trained on."""

import warnings

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

ROWS = 5000
"""More of each side would only make the page heavier."""


def html(reference: pd.DataFrame, current: pd.DataFrame) -> str:
    """A page with Evidently's drift report.

    Args:
        reference: What the model was trained on, one column a feature, all numbers.
        current: What it is asked now, the same columns.
    """
    definition = DataDefinition(numerical_columns=list(reference.columns))
    sides = [
        Dataset.from_pandas(_sample(each)[list(reference.columns)], data_definition=definition)
        for each in (current, reference)
    ]
    # A feature that is the same in every row divides by zero in there; the page says what comes of it.
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        page: str = Report([DataDriftPreset()]).run(*sides).get_html_str(as_iframe=False)
    return page


def _sample(rows: pd.DataFrame) -> pd.DataFrame:
    return rows if len(rows) <= ROWS else rows.sample(ROWS, random_state=0)
