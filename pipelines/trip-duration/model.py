"""Predicts the duration of a green taxi's trip: the functions `features` and `train` of the pipeline."""

import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

FEATURES = ["trip_distance", "hour", "weekday", "pickup_zone", "dropoff_zone"]


def features(trips: pd.DataFrame) -> pd.DataFrame:
    """Return the features and the target `minutes`, one row for each trip."""
    begun = trips["lpep_pickup_datetime"]
    return pd.DataFrame(
        {
            "trip_distance": trips["trip_distance"],
            "hour": begun.dt.hour,
            "weekday": begun.dt.weekday,
            "pickup_zone": trips["PULocationID"],
            "dropoff_zone": trips["DOLocationID"],
            "minutes": (trips["lpep_dropoff_datetime"] - begun).dt.total_seconds() / 60,
        }
    )


def train(rows: pd.DataFrame) -> HistGradientBoostingRegressor:
    """Return a model that is fitted on rows of `features`."""
    return HistGradientBoostingRegressor(random_state=0).fit(rows[FEATURES], rows["minutes"])
