"""The sidecar's metrics for Prometheus; docs/lifecycle.md describes each."""

from collections.abc import Iterator

import numpy as np
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lifecycle.names import FEATURE_KIND, METRICS, PREDICTION_KIND
from lifecycle.names import Metric as Name
from lifecycle.sidecar.drift_counters import Counts, DriftCounters, PipelineCounts, VersionCounts
from lifecycle.sidecar.model_version import Bins
from lifecycle.sidecar.serving_state import ModelState, ServingState


class MetricsCollector(Collector):
    """Creates the values of all metrics from the state and the counters at each scrape."""

    def __init__(self, state: ServingState, counters: DriftCounters) -> None:
        """Use this state and these counters; each is read under its lock."""
        self._state = state
        self._counters = counters

    def describe(self) -> list[Metric]:
        """Return no metric, so that registering the collector does not call `collect`."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        with self._state.lock:
            metrics = [*_serving(self._state.models), *_synced(self._state), *_statuses(self._state)]
        with self._counters.lock:
            metrics += [
                *_counted(self._counters.pipelines),
                *_shadows(self._counters.pipelines),
                *_traces(self._counters),
            ]
        yield from metrics


def _serving(models: dict[str, ModelState]) -> list[Metric]:
    serving = _gauge(METRICS.model_serving, "1 for the version that serves")
    wanted = _gauge(METRICS.model_wanted_version, "The version that the pointer names")
    number = _gauge(METRICS.model_serving_version, "The version that serves")
    refused = _gauge(METRICS.model_refused, "1 while the pointer wants a version that was refused")
    seconds = _gauge(METRICS.sync_switch, "Duration of the last change of version, in seconds")
    for name, model in models.items():
        pointer = model.pointer
        wanted.add_metric([name], 0 if pointer is None else pointer.version or 0)
        number.add_metric([name], model.serving or 0)
        seconds.add_metric([name], model.switch_seconds)
        if model.serving is not None:
            serving.add_metric([name, str(model.serving)], 1)
        if pointer is not None and pointer.version in model.refused:
            refused.add_metric([name, str(pointer.version)], 1)
    return [serving, wanted, number, refused, seconds]


def _synced(state: ServingState) -> list[Metric]:
    read = _gauge(
        METRICS.sync_last_success, "When all pointers were last read, in seconds since 1970", state.read_at
    )
    failures = _counter(METRICS.sync_failures, "Failures while following the pointers, by reason")
    for reason, times in state.failures.items():
        failures.add_metric([reason], times)
    return [read, failures]


def _statuses(state: ServingState) -> list[Metric]:
    live = _gauge(METRICS.live_error, "Error of the version that serves, on labels that arrived later")
    labelled = _gauge(METRICS.labelled_rows, "Rows behind the live error")
    gate = _gauge(METRICS.gate_value, "Metric values of champion and challenger in the last gate")
    batch = {
        "periodEnd": _gauge(METRICS.batch_end, "End of the newest batch's period, in seconds since 1970"),
        "rows": _gauge(METRICS.batch_rows, "Good rows of the newest batch"),
        "quarantined": _gauge(METRICS.batch_quarantined_rows, "Bad rows of the newest batch"),
    }
    for model, statuses in state.statuses.items():
        error, decided = statuses.get("error", {}), statuses.get("gate", {})
        if _is_number(error.get("value")):
            live.add_metric([model, str(error.get("version")), str(error.get("metric"))], error["value"])
        if _is_number(error.get("rows")):
            labelled.add_metric([model, str(error.get("version"))], error["rows"])
        for candidate in ("champion", "challenger"):
            if _is_number(decided.get(candidate)):
                gate.add_metric([model, str(decided.get("metric")), candidate], decided[candidate])
        for name, metric in batch.items():
            fields = statuses.get("batch", {})
            if _is_number(fields.get(name)):
                metric.add_metric([model], fields[name])
    return [live, labelled, gate, *batch.values()]


def _counted(pipelines: dict[str, PipelineCounts]) -> list[Metric]:
    counted = _counter(METRICS.feature_bin, "Sampled values in each bin")
    ratio = _gauge(METRICS.feature_baseline_ratio, "The training data's share of each bin")
    rows = _counter(METRICS.sampled_rows, "Rows of sampled requests")
    for model, entry in pipelines.items():
        for version_counts in entry.versions.values():
            version = str(version_counts.version.number)
            rows.add_metric([model, version], version_counts.rows)
            for bins, kind, counts in _all_bins(version_counts):
                name = PREDICTION_KIND if kind == PREDICTION_KIND else bins.name
                for place, times in _named(counts):
                    counted.add_metric([model, version, name, place, kind], times)
                for index, share in enumerate(bins.ratios):
                    ratio.add_metric([model, version, name, str(index), kind], share)
    return [counted, ratio, rows]


def _all_bins(version_counts: VersionCounts) -> Iterator[tuple[Bins, str, Counts]]:
    for bins, counts in zip(version_counts.version.features, version_counts.features, strict=True):
        yield bins, FEATURE_KIND, counts
    yield version_counts.version.prediction, PREDICTION_KIND, version_counts.prediction


def _shadows(pipelines: dict[str, PipelineCounts]) -> list[Metric]:
    counted = _counter(METRICS.shadow_bin, "The shadow's predictions")
    shadowed = _counter(METRICS.shadowed_bin, "The predictions returned for the shadow's rows")
    rows = _counter(METRICS.shadow_rows, "Rows that the shadow scored")
    for model, entry in pipelines.items():
        if entry.shadow is not None:
            version = str(entry.shadow.version.number)
            rows.add_metric([model, version], entry.shadow.rows)
            for place, times in _named(entry.shadow.prediction):
                counted.add_metric([model, version, place], times)
            for place, times in _named(entry.shadow.shadowed):
                shadowed.add_metric([model, version, place], times)
    return [counted, shadowed, rows]


def _traces(counters: DriftCounters) -> list[Metric]:
    size = _gauge(METRICS.trace_bytes, "Size of the trace files, in bytes", counters.trace_bytes)
    dropped = _counter(METRICS.trace_dropped, "Traces and sampled requests that were dropped, by reason")
    for reason, times in counters.dropped.items():
        dropped.add_metric([reason], times)
    return [size, dropped]


def _gauge(name: Name, meaning: str, value: float | None = None) -> GaugeMetricFamily:
    return GaugeMetricFamily(name.name, meaning, value=value, labels=name.labels or None)


def _counter(name: Name, meaning: str) -> CounterMetricFamily:
    return CounterMetricFamily(name.name, meaning, labels=name.labels)


def _named(counts: Counts) -> Iterator[tuple[str, float]]:
    for place, times in enumerate(counts[:-1]):
        yield str(place), float(times)
    yield "nan", float(counts[-1])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
