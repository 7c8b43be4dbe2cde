"""What was counted of the sampled requests, by model and version."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lifecycle.baseline import count, prediction_value
from lifecycle.sidecar.model_version import Bins, ModelVersion

# Prometheus must have seen a version's last counts before they go.
LINGER_SECONDS = 300.0

Counts = NDArray[np.int64]
Values = NDArray[np.floating]


@dataclass
class VersionCounts:
    """Counts of one version since this process knows it; the last bin of each is NaN's."""

    version: ModelVersion
    features: list[Counts]
    prediction: Counts
    rows: int = 0
    left_at: float | None = None


@dataclass
class ShadowCounts:
    """Counts of a shadow's predictions, in the bins of the version that it shadows.

    `shadowed` are the predictions that were returned for the same rows.
    """

    version: ModelVersion
    bins: Bins
    prediction: Counts
    shadowed: Counts
    rows: int = 0


@dataclass
class PipelineCounts:
    """One pipeline: what serves; the counts of it, and of versions that left lately; the shadow's."""

    serving: int | None = None
    versions: dict[int, VersionCounts] = field(default_factory=dict)
    shadow: ShadowCounts | None = None


class DriftCounters:
    """Every count, under one lock."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self.lock = threading.RLock()
        self.pipelines: dict[str, PipelineCounts] = {}
        self.dropped: Counter[str] = Counter(
            {"disk": 0, "unreadable": 0, "incomplete": 0, "unknown": 0, "payload": 0, "shadow": 0}
        )
        self.trace_bytes = 0

    def serve(self, pipeline: str, version: ModelVersion | None) -> None:
        """This version serves from now on; all its counts are there, at zero where it is new."""
        with self.lock:
            entry = self.pipelines.setdefault(pipeline, PipelineCounts())
            number = None if version is None else version.number
            for version_counts in entry.versions.values():
                if version_counts.version.number == number:
                    version_counts.left_at = None
                elif version_counts.left_at is None:
                    version_counts.left_at = time.monotonic()
            if version is not None and version.number not in entry.versions:
                entry.versions[version.number] = VersionCounts(
                    version, [_empty(bins) for bins in version.features], _empty(version.prediction)
                )
            entry.serving = number
            if entry.shadow is not None:
                self.shadow(pipeline, entry.shadow.version)

    def serves(self, pipeline: str, number: int) -> bool:
        """Whether this version is known to serve."""
        with self.lock:
            return pipeline in self.pipelines and self.pipelines[pipeline].serving == number

    def shadow(self, pipeline: str, version: ModelVersion | None) -> None:
        """This version scores beside the one that serves. With a change of either it begins anew."""
        with self.lock:
            entry = self.pipelines.setdefault(pipeline, PipelineCounts())
            serving = entry.versions.get(entry.serving or 0)
            if version is None or serving is None:
                entry.shadow = None
            elif entry.shadow is None or (entry.shadow.version, entry.shadow.bins) != (
                version,
                serving.version.prediction,
            ):
                bins = serving.version.prediction
                entry.shadow = ShadowCounts(version, bins, _empty(bins), _empty(bins))

    def count(self, pipeline: str, number: int, features: Values, predictions: Values) -> ModelVersion | None:
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
            entry = self.pipelines.get(pipeline)
            version_counts = None if entry is None else entry.versions.get(number)
            if version_counts is None or features.shape[1] != len(version_counts.features):
                return None
            for column, (bins, counts) in enumerate(
                zip(version_counts.version.features, version_counts.features, strict=True)
            ):
                _add(counts, bins, features[:, column])
            _add(version_counts.prediction, version_counts.version.prediction, prediction_value(predictions))
            version_counts.rows += len(features)
            return version_counts.version

    def shadow_version(self, pipeline: str) -> ModelVersion | None:
        """The version that scores beside the one that serves."""
        with self.lock:
            entry = self.pipelines.get(pipeline)
            return None if entry is None or entry.shadow is None else entry.shadow.version

    def count_shadow(self, pipeline: str, number: int, predictions: Values, shadowed: Values) -> None:
        """Count a shadow's answers, and those of the version that it shadows, both [rows, outputs]."""
        with self.lock:
            entry = self.pipelines.get(pipeline)
            if entry is not None and entry.shadow is not None and entry.shadow.version.number == number:
                _add(entry.shadow.prediction, entry.shadow.bins, prediction_value(predictions))
                _add(entry.shadow.shadowed, entry.shadow.bins, prediction_value(shadowed))
                entry.shadow.rows += len(predictions)

    def shadow_rows(self, pipeline: str) -> int:
        """Rows that the shadow scored."""
        with self.lock:
            entry = self.pipelines.get(pipeline)
            return 0 if entry is None or entry.shadow is None else entry.shadow.rows

    def drop(self, reason: str, traces: int = 1) -> None:
        """Count what could not be counted."""
        with self.lock:
            self.dropped[reason] += traces

    def expire(self) -> None:
        """Remove the counts of versions that left a while ago."""
        with self.lock:
            before = time.monotonic() - LINGER_SECONDS
            for pipeline, entry in list(self.pipelines.items()):
                for number, version_counts in list(entry.versions.items()):
                    if version_counts.left_at is not None and version_counts.left_at < before:
                        del entry.versions[number]
                if not entry.versions:
                    del self.pipelines[pipeline]


def _empty(bins: Bins) -> Counts:
    return np.zeros(len(bins.ratios) + 1, dtype=np.int64)


def _add(counts: Counts, bins: Bins, values: Values) -> None:
    binned, nan = count(bins.edges, values)
    counts[:-1] += binned
    counts[-1] += nan
