"""Tests of the taxi model's functions on a few generated trips; no cluster is needed."""

import model
import numpy as np
import pandas as pd


def trips(rows: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    begun = pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 14 * 24 * 60, rows), unit="min")
    distance = random.uniform(0.5, 10, rows)
    return pd.DataFrame(
        {
            "lpep_pickup_datetime": begun,
            "lpep_dropoff_datetime": begun + pd.to_timedelta(4 * distance, unit="min"),
            "trip_distance": distance,
            "PULocationID": random.integers(1, 266, rows),
            "DOLocationID": random.integers(1, 266, rows),
        }
    )


def test_a_trip_s_features_are_known_when_it_begins() -> None:
    one = trips(1).assign(lpep_pickup_datetime=pd.Timestamp("2024-01-06 23:30"))
    one["lpep_dropoff_datetime"] = pd.Timestamp("2024-01-07 00:15")
    row = model.features(one).iloc[0]
    assert (row["hour"], row["weekday"], row["minutes"]) == (23, 5, 45)
    assert set(model.FEATURES) == set(row.index) - {"minutes"}


def test_it_learns_that_longer_trips_take_longer() -> None:
    rows = model.features(trips(500))
    answers = model.train(rows).predict(rows[model.FEATURES])
    assert np.abs(answers - rows["minutes"]).mean() < 1
