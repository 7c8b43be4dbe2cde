"""Asks Triton for predictions as many clients would, and says how it went as one line of JSON.

python traffic.py --data URL --seconds S --clients N --rows ROWS --pause P

Each client keeps one connection. It asks about ROWS trips at a time, drawn at
random from a month, and pauses P seconds after each answer. An answer of a
version that --models names is compared with what that ONNX file says. SIGTERM
ends the program before S seconds are over, after the requests under way.
"""

import argparse
import http.client
import io
import json
import os
import signal
import sys
import threading
import time
import urllib.request
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd

sys.path.insert(0, "/pipeline")
import model as owner


def main() -> None:
    """Run the clients until the end, and print the summary."""
    options = argparse.ArgumentParser()
    options.add_argument("--data", required=True)
    options.add_argument("--seconds", type=float, required=True)
    options.add_argument("--clients", type=int, default=1)
    options.add_argument("--rows", type=int, default=8)
    options.add_argument("--pause", type=float, default=0.0)
    options.add_argument("--models", nargs="*", default=[], help="VERSION=KEY of an ONNX file in the bucket")
    given = options.parse_args()
    trips = features(given.data)
    models = dict(fetch(*entry.split("=", 1)) for entry in given.models)
    tally = Tally(models)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    print("asking", flush=True)
    clients = [
        threading.Thread(target=client, args=(trips, given, stop, tally, seed))
        for seed in range(given.clients)
    ]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    print(json.dumps(tally.summary()))


def features(url: str) -> np.ndarray:
    """The features of a month's good rows: float32 of shape [rows, features]."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        trips = pd.read_parquet(io.BytesIO(answer.read()))
    rows = owner.features(trips)
    good = rows[rows["trip_distance"].between(0, 100) & rows["minutes"].between(1, 120)]
    return np.asarray(good[owner.FEATURES], np.float32)


def fetch(version: str, key: str) -> tuple[str, onnxruntime.InferenceSession]:
    """A version, and its model from the store."""
    import boto3

    body = boto3.client("s3").get_object(Bucket="models", Key=key)["Body"].read()
    return version, onnxruntime.InferenceSession(body, providers=["CPUExecutionProvider"])


class Tally:
    """Counts of what all clients saw."""

    def __init__(self, models: dict[str, onnxruntime.InferenceSession]) -> None:
        """Start empty; answers of these versions are compared with those of their models."""
        self.lock = threading.Lock()
        self.models = models
        self.seconds: list[float] = []
        self.versions: dict[str, int] = {}
        self.failures: list[str] = []
        self.wrong = 0

    def answered(self, seconds: float, answer: dict[str, Any], rows: np.ndarray) -> None:
        """Count an answer."""
        version = answer["model_version"]
        wrong = False
        if version in self.models:
            expected = self.models[version].run(None, {"features": rows})[0].ravel()
            wrong = bool(np.abs(expected - np.asarray(answer["outputs"][0]["data"])).max() > 1e-3)
        with self.lock:
            self.seconds.append(seconds)
            self.versions[version] = self.versions.get(version, 0) + 1
            self.wrong += wrong

    def failed(self, why: str) -> None:
        """Count a request that got no answer."""
        with self.lock:
            self.failures.append(why)

    def summary(self) -> dict[str, Any]:
        """The numbers that the program prints."""
        ordered = sorted(self.seconds)
        return {
            "requests": len(self.seconds) + len(self.failures),
            "failed": len(self.failures),
            "why": self.failures[:3],
            "wrong": self.wrong,
            "versions": self.versions,
            "medianMs": round(1000 * ordered[len(ordered) // 2], 1) if ordered else None,
            "slowestMs": round(1000 * ordered[-1], 1) if ordered else None,
        }


def connect(connection: http.client.HTTPConnection) -> None:
    """Connect before anything is counted: a new pod's NetworkPolicy may refuse it for a moment."""
    for _ in range(10):
        try:
            connection.connect()
            return
        except OSError:
            time.sleep(1)


def client(
    trips: np.ndarray, given: argparse.Namespace, stop: threading.Event, tally: Tally, seed: int
) -> None:
    """Ask until the end; a request that fails is counted and not repeated."""
    random = np.random.default_rng(seed)
    host = os.environ["TRITON_HTTP_URL"]
    connection = http.client.HTTPConnection(host, timeout=30)
    connect(connection)
    end = time.monotonic() + given.seconds
    while time.monotonic() < end and not stop.is_set():
        rows = trips[random.integers(0, len(trips), given.rows)]
        tensor = {
            "name": "features",
            "datatype": "FP32",
            "shape": list(rows.shape),
            "data": rows.ravel().tolist(),
        }
        begin = time.monotonic()
        try:
            connection.request("POST", "/v2/models/trip-duration/infer", json.dumps({"inputs": [tensor]}))
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                tally.failed(f"{answer.status} {body[:200]!r}")
            else:
                tally.answered(time.monotonic() - begin, json.loads(body), rows)
        except OSError as error:
            tally.failed(f"{error!r} after {time.monotonic() - begin:.1f} s")
            connection.close()
        if given.pause:
            time.sleep(given.pause)


if __name__ == "__main__":
    main()
