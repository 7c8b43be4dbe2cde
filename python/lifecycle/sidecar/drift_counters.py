"""Counts of sampled values in the bins of each model version; Prometheus computes drift from them."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lifecycle.baseline import count, prediction_value
from lifecycle.sidecar.model_version import Bins, ModelVersion

# Counts of a version that no longer serves are kept this long, so that Prometheus scrapes the last ones.
LINGER_SECONDS = 300.0

Counts = NDArray[np.int64]
Values = NDArray[np.floating]


@dataclass
class VersionCounts:
    """Counts of one version since this process has known it.

    Attributes:
        version: The version.
        features: For each feature the counts of its bins and of NaN, shape [bins + 1].
        prediction: The same for the prediction.
        rows: Number of counted rows.
        left_at: Time (time.monotonic) when the version stopped serving; None while it serves.
    """

    version: ModelVersion
    features: list[Counts]
    prediction: Counts
    rows: int = 0
    left_at: float | None = None


@dataclass
class ShadowCounts:
    """Counts of a shadow's predictions, in the bins of the serving version.

    Attributes:
        version: The shadow.
        bins: The bins of the serving version's prediction.
        prediction: Counts of the shadow's predictions, shape [bins + 1], the last for NaN.
        shadowed: Counts of the serving version's predictions for the same rows, same shape.
        rows: Number of rows that the shadow scored.
    """

    version: ModelVersion
    bins: Bins
    prediction: Counts
    shadowed: Counts
    rows: int = 0


@dataclass
class PipelineCounts:
    """Counts of one pipeline: of versions that serve or served until recently, and of the shadow."""

    serving: int | None = None
    versions: dict[int, VersionCounts] = field(default_factory=dict)
    shadow: ShadowCounts | None = None


class DriftCounters:
    """All counts, protected by one lock.

    Attributes:
        lock: A reentrant lock; hold it to read the other attributes.
        pipelines: Counts by the pipeline's name.
        dropped: Number of traces that were not counted, for each reason.
        trace_bytes: Size of the trace files on the disk.
    """

    def __init__(self) -> None:
        """Start with no counts."""
        self.lock = threading.RLock()
        self.pipelines: dict[str, PipelineCounts] = {}
        self.dropped: Counter[str] = Counter(
            {"disk": 0, "unreadable": 0, "incomplete": 0, "unknown": 0, "payload": 0, "shadow": 0}
        )
        self.trace_bytes = 0

    def serve(self, pipeline: str, version: ModelVersion | None) -> None:
        """Set the version that serves from now on, or None; the counts of a new version start at zero."""
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
        """Return whether this version is the one set by `serve`."""
        with self.lock:
            return pipeline in self.pipelines and self.pipelines[pipeline].serving == number

    def shadow(self, pipeline: str, version: ModelVersion | None) -> None:
        """Set the shadow, or None; its counts restart if the shadow or the serving version's bins change."""
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
        """Count the rows of a request.

        Args:
            pipeline: Its name.
            number: The version that answered.
            features: Shape [rows, inputs].
            predictions: Shape [rows, outputs].

        Returns:
            The version, or None if nothing was counted: the version is unknown or has other features.
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
        """Return the shadow, or None."""
        with self.lock:
            entry = self.pipelines.get(pipeline)
            return None if entry is None or entry.shadow is None else entry.shadow.version

    def count_shadow(self, pipeline: str, number: int, predictions: Values, shadowed: Values) -> None:
        """Count the shadow's predictions and those that were served, both of shape [rows, outputs]."""
        with self.lock:
            entry = self.pipelines.get(pipeline)
            if entry is not None and entry.shadow is not None and entry.shadow.version.number == number:
                _add(entry.shadow.prediction, entry.shadow.bins, prediction_value(predictions))
                _add(entry.shadow.shadowed, entry.shadow.bins, prediction_value(shadowed))
                entry.shadow.rows += len(predictions)

    def shadow_rows(self, pipeline: str) -> int:
        """Return the number of rows that the shadow scored."""
        with self.lock:
            entry = self.pipelines.get(pipeline)
            return 0 if entry is None or entry.shadow is None else entry.shadow.rows

    def drop(self, reason: str, traces: int = 1) -> None:
        """Count traces that were dropped, by reason."""
        with self.lock:
            self.dropped[reason] += traces

    def expire(self) -> None:
        """Remove the counts of versions that stopped serving LINGER_SECONDS ago."""
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
