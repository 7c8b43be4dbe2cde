"""How long will a green taxi be on its way? The two functions that are this model."""

import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

FEATURES = ["trip_distance", "hour", "weekday", "pickup_zone", "dropoff_zone"]


def features(trips: pd.DataFrame) -> pd.DataFrame:
    """Turn collected trips into features and the target `minutes`, one row a trip."""
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
    """Fit on the rows that `features` returned."""
    return HistGradientBoostingRegressor(random_state=0).fit(rows[FEATURES], rows["minutes"])
