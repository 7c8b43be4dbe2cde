"""The sidecar's numbers for Prometheus."""

from collections.abc import Iterator

import numpy as np
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lifecycle.sidecar.drift_counters import Counts, DriftCounters, PipelineCounts, VersionCounts
from lifecycle.sidecar.model_version import Bins
from lifecycle.sidecar.serving_state import ModelState, ServingState

PREDICTION = "prediction"
MODEL = ["model"]
VERSION = ["model", "version"]


class MetricsCollector(Collector):
    """Every metric of the contract, made of what the sidecar knows at that moment."""

    def __init__(self, state: ServingState, counters: DriftCounters) -> None:
        """Both are read under their locks."""
        self._state = state
        self._counters = counters

    def describe(self) -> list[Metric]:
        """Nothing: what there is, is known when it is asked for."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All metrics."""
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
    serving = GaugeMetricFamily("mlops_model_serving", "1 for the version that serves", labels=VERSION)
    wanted = GaugeMetricFamily(
        "mlops_model_wanted_version", "The version that the pointer names", labels=MODEL
    )
    number = GaugeMetricFamily("mlops_model_serving_version", "The version that serves", labels=MODEL)
    refused = GaugeMetricFamily(
        "mlops_model_refused",
        "1 while the pointer wants a version that was refused",
        labels=VERSION,
    )
    seconds = GaugeMetricFamily(
        "mlops_sync_switch_seconds", "How long the last change of version took", labels=MODEL
    )
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
    read = GaugeMetricFamily(
        "mlops_sync_last_success_timestamp_seconds",
        "When the pointers were last read",
        value=state.read_at,
    )
    failures = CounterMetricFamily("mlops_sync_failures", "What failed on the way", labels=["reason"])
    for reason, times in state.failures.items():
        failures.add_metric([reason], times)
    return [read, failures]


def _statuses(state: ServingState) -> list[Metric]:
    live = GaugeMetricFamily("mlops_live_error", "The live model's error", labels=[*VERSION, "metric"])
    labelled = GaugeMetricFamily("mlops_labelled_rows", "Rows behind the live error", labels=VERSION)
    gate = GaugeMetricFamily(
        "mlops_gate_value", "The last gate's values", labels=[*MODEL, "metric", "candidate"]
    )
    batch = {
        "periodEnd": GaugeMetricFamily(
            "mlops_batch_end_timestamp_seconds", "When the newest batch's period ends", labels=MODEL
        ),
        "rows": GaugeMetricFamily("mlops_batch_rows", "Good rows of the newest batch", labels=MODEL),
        "quarantined": GaugeMetricFamily(
            "mlops_batch_quarantined_rows", "Bad rows of the newest batch", labels=MODEL
        ),
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
    labels = [*VERSION, "feature", "bin", "kind"]
    counted = CounterMetricFamily("mlops_feature_bin", "Sampled values in each bin", labels=labels)
    ratio = GaugeMetricFamily(
        "mlops_feature_baseline_ratio", "The training data's share of each bin", labels=labels
    )
    rows = CounterMetricFamily("mlops_sampled_rows", "Rows of sampled requests", labels=VERSION)
    for model, entry in pipelines.items():
        for version_counts in entry.versions.values():
            version = str(version_counts.version.number)
            rows.add_metric([model, version], version_counts.rows)
            for bins, kind, counts in _all_bins(version_counts):
                name = PREDICTION if kind == PREDICTION else bins.name
                for place, times in _named(counts):
                    counted.add_metric([model, version, name, place, kind], times)
                for index, share in enumerate(bins.ratios):
                    ratio.add_metric([model, version, name, str(index), kind], share)
    return [counted, ratio, rows]


def _all_bins(version_counts: VersionCounts) -> Iterator[tuple[Bins, str, Counts]]:
    for bins, counts in zip(version_counts.version.features, version_counts.features, strict=True):
        yield bins, "feature", counts
    yield version_counts.version.prediction, PREDICTION, version_counts.prediction


def _shadows(pipelines: dict[str, PipelineCounts]) -> list[Metric]:
    counted = CounterMetricFamily("mlops_shadow_bin", "The shadow's predictions", labels=[*VERSION, "bin"])
    shadowed = CounterMetricFamily(
        "mlops_shadowed_bin", "The predictions returned for the shadow's rows", labels=[*VERSION, "bin"]
    )
    rows = CounterMetricFamily("mlops_shadow_rows", "Rows that the shadow scored", labels=VERSION)
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
    size = GaugeMetricFamily("mlops_trace_bytes", "Disk that traces take", value=counters.trace_bytes)
    dropped = CounterMetricFamily(
        "mlops_trace_dropped", "Traces that could not be counted", labels=["reason"]
    )
    for reason, times in counters.dropped.items():
        dropped.add_metric([reason], times)
    return [size, dropped]


def _named(counts: Counts) -> Iterator[tuple[str, float]]:
    for place, times in enumerate(counts[:-1]):
        yield str(place), float(times)
    yield "nan", float(counts[-1])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
