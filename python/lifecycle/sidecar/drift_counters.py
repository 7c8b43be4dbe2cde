"""What was counted of the sampled requests, by model and version."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lifecycle.baseline import count, prediction_value
from lifecycle.sidecar.model_version import Bins, Version

# Prometheus must have seen a version's last counts before they go.
LINGER_SECONDS = 300.0

Counts = NDArray[np.int64]
Values = NDArray[np.floating]


@dataclass
class Tally:
    """Counts of one version since this process knows it; the last bin of each is NaN's."""

    version: Version
    features: list[Counts]
    prediction: Counts
    rows: int = 0
    left_at: float | None = None


@dataclass
class ShadowTally:
    """Counts of a shadow's predictions, in the bins of the version that it shadows.

    `shadowed` are the predictions that were returned for the same rows.
    """

    version: Version
    bins: Bins
    prediction: Counts
    shadowed: Counts
    rows: int = 0


@dataclass
class Page:
    """One pipeline: what serves; the tallies of it, and of what left lately; the shadow's."""

    serving: int | None = None
    tallies: dict[int, Tally] = field(default_factory=dict)
    shadow: ShadowTally | None = None


class Ledger:
    """Every count, under one lock."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self.lock = threading.RLock()
        self.pages: dict[str, Page] = {}
        self.dropped: Counter[str] = Counter(
            {"disk": 0, "unreadable": 0, "incomplete": 0, "unknown": 0, "payload": 0, "shadow": 0}
        )
        self.trace_bytes = 0

    def serve(self, pipeline: str, version: Version | None) -> None:
        """This version serves from now on; all its counts are there, at zero where it is new."""
        with self.lock:
            page = self.pages.setdefault(pipeline, Page())
            number = None if version is None else version.number
            for tally in page.tallies.values():
                if tally.version.number == number:
                    tally.left_at = None
                elif tally.left_at is None:
                    tally.left_at = time.monotonic()
            if version is not None and version.number not in page.tallies:
                page.tallies[version.number] = Tally(
                    version, [_empty(bins) for bins in version.features], _empty(version.prediction)
                )
            page.serving = number
            if page.shadow is not None:
                self.shadow(pipeline, page.shadow.version)

    def serves(self, pipeline: str, number: int) -> bool:
        """Whether this version is known to serve."""
        with self.lock:
            return pipeline in self.pages and self.pages[pipeline].serving == number

    def shadow(self, pipeline: str, version: Version | None) -> None:
        """This version scores beside the one that serves. With a change of either it begins anew."""
        with self.lock:
            page = self.pages.setdefault(pipeline, Page())
            serving = page.tallies.get(page.serving or 0)
            if version is None or serving is None:
                page.shadow = None
            elif page.shadow is None or (page.shadow.version, page.shadow.bins) != (
                version,
                serving.version.prediction,
            ):
                bins = serving.version.prediction
                page.shadow = ShadowTally(version, bins, _empty(bins), _empty(bins))

    def count(self, pipeline: str, number: int, features: Values, predictions: Values) -> Version | None:
        """Count a request.

        Args:
            pipeline: Its name.
            number: The version that answered.
            features: Shape [rows, inputs].
            predictions: Shape [rows, outputs].

        Returns:
            The version, or None where no such version serves, served lately, or takes such rows.
        """
        with self.lock:
            page = self.pages.get(pipeline)
            tally = None if page is None else page.tallies.get(number)
            if tally is None or features.shape[1] != len(tally.features):
                return None
            for column, (bins, counts) in enumerate(zip(tally.version.features, tally.features, strict=True)):
                _add(counts, bins, features[:, column])
            _add(tally.prediction, tally.version.prediction, prediction_value(predictions))
            tally.rows += len(features)
            return tally.version

    def shadow_version(self, pipeline: str) -> Version | None:
        """The version that scores beside the one that serves."""
        with self.lock:
            page = self.pages.get(pipeline)
            return None if page is None or page.shadow is None else page.shadow.version

    def count_shadow(self, pipeline: str, number: int, predictions: Values, shadowed: Values) -> None:
        """Count a shadow's answers, and those of the version that it shadows, both [rows, outputs]."""
        with self.lock:
            page = self.pages.get(pipeline)
            if page is not None and page.shadow is not None and page.shadow.version.number == number:
                _add(page.shadow.prediction, page.shadow.bins, prediction_value(predictions))
                _add(page.shadow.shadowed, page.shadow.bins, prediction_value(shadowed))
                page.shadow.rows += len(predictions)

    def shadow_rows(self, pipeline: str) -> int:
        """Rows that the shadow scored."""
        with self.lock:
            page = self.pages.get(pipeline)
            return 0 if page is None or page.shadow is None else page.shadow.rows

    def drop(self, reason: str, traces: int = 1) -> None:
        """Count what could not be counted."""
        with self.lock:
            self.dropped[reason] += traces

    def expire(self) -> None:
        """Remove the counts of versions that left a while ago."""
        with self.lock:
            before = time.monotonic() - LINGER_SECONDS
            for pipeline, page in list(self.pages.items()):
                for number, tally in list(page.tallies.items()):
                    if tally.left_at is not None and tally.left_at < before:
                        del page.tallies[number]
                if not page.tallies:
                    del self.pages[pipeline]


def _empty(bins: Bins) -> Counts:
    return np.zeros(len(bins.ratios) + 1, dtype=np.int64)


def _add(counts: Counts, bins: Bins, values: Values) -> None:
    binned, nan = count(bins.edges, values)
    counts[:-1] += binned
    counts[-1] += nan
