"""The names that TypeScript and Python share, read from names.json (contract/names.json) beside this file.

The module uses the standard library only, because Airflow's files and the small programs import it too. The
import fails if names.json lacks one of the names below, or has one that is not here.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Exit:
    """One way in which a step ends: its exit code and the first word of the log's last line."""

    code: int
    word: str


@dataclass(frozen=True)
class Metric:
    """A metric of the sidecar. The order of `labels` is the order in which values are passed."""

    name: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Metrics:
    """All metrics of the sidecar; docs/lifecycle.md describes each."""

    model_serving: Metric
    model_wanted_version: Metric
    model_serving_version: Metric
    model_refused: Metric
    sync_last_success: Metric
    sync_failures: Metric
    sync_switch: Metric
    feature_bin: Metric
    feature_baseline_ratio: Metric
    sampled_rows: Metric
    shadow_bin: Metric
    shadow_rows: Metric
    shadowed_bin: Metric
    trace_bytes: Metric
    trace_dropped: Metric
    live_error: Metric
    labelled_rows: Metric
    batch_end: Metric
    batch_rows: Metric
    batch_quarantined_rows: Metric
    gate_value: Metric


@dataclass(frozen=True)
class Environment:
    """Environment variables that the manifests or Airflow's DAGs set, and the programs read."""

    airflow_run_url: str
    data_bucket: str
    mlflow_page_url: str
    model_repository: str
    models_bucket: str
    prometheus_matcher: str
    prometheus_url: str
    source_database_url: str
    trace_dir: str
    triton_admin_key: str
    triton_grpc_url: str
    triton_http_url: str
    triton_replicas: str


@dataclass(frozen=True)
class Aliases:
    """MLflow's aliases: champion serves, challenger waits for the gate, previous served before."""

    champion: str
    challenger: str
    previous: str


@dataclass(frozen=True)
class Alerts:
    """The alerts that start a retraining."""

    drift: str
    prediction_drift: str
    error: str


def _filled(kind: type[T], values: dict[str, Any]) -> T:
    """Create the dataclass from a JSON object; keys in camelCase become fields in snake_case."""
    return kind(
        **{
            re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", key): value
            for key, value in values.items()
        }
    )


_NAMES: dict[str, Any] = json.loads(Path(__file__).with_name("names.json").read_text(encoding="utf-8"))

API_VERSION: str = _NAMES["apiVersion"]
"""The `apiVersion` of a pipeline's spec."""

PIPELINE_LABEL: str = _NAMES["labels"]["pipeline"]
STEP_LABEL: str = _NAMES["labels"]["step"]

RUN_STEPS: tuple[str, ...] = tuple(_NAMES["steps"]["run"].values())
"""The steps of a lifecycle run, in the order in which they run."""
COLLECT, PREPROCESS, TRAIN, REGISTER, GATE, DEPLOY = RUN_STEPS

ALONE_STEPS: tuple[str, ...] = tuple(_NAMES["steps"]["alone"].values())
"""Steps that follow no other step of the same run."""
MONITOR, ROLLBACK, TRAFFIC = ALONE_STEPS

FEATURES_FUNCTION: str = _NAMES["functions"]["features"]
TRAIN_FUNCTION: str = _NAMES["functions"]["train"]
COLLECT_FUNCTION: str = _NAMES["functions"]["collect"]

PERMANENT_ERROR, RETRYABLE_ERROR, GATE_REJECTED = (
    Exit(**_NAMES["exits"][key]) for key in ("permanentError", "retryableError", "gateRejected")
)

ALIASES = _filled(Aliases, _NAMES["aliases"])

ALERTS = _filled(Alerts, _NAMES["alerts"])

METRICS = _filled(
    Metrics, {key: Metric(each["name"], tuple(each["labels"])) for key, each in _NAMES["metrics"].items()}
)

MONITORED_NAMESPACE_LABEL: str = _NAMES["monitoredNamespaceLabel"]
"""Label of series and alerts from namespaces outside the platform; the platform's own series lack it."""

FEATURE_KIND: str = _NAMES["binKinds"]["feature"]
PREDICTION_KIND: str = _NAMES["binKinds"]["prediction"]

PERIODS: dict[str, str] = _NAMES["periods"]
"""The granularities of batches, from the coarsest to the finest; values are regular expressions of names."""

SIDECAR_PORT: int = _NAMES["ports"]["sidecar"]
READY_PATH: str = _NAMES["paths"]["ready"]
STATUS_PATH: str = _NAMES["paths"]["status"]

ENVIRONMENT = _filled(Environment, _NAMES["environment"])

SPEC_FILE: str = _NAMES["files"]["spec"]
MODEL_FILE: str = _NAMES["files"]["model"]
TRACE_FILE: str = _NAMES["files"]["trace"]
PIPELINE_FOLDER = Path(_NAMES["folders"]["pipeline"])
"""The folder in a step's pod that holds its pipeline's files."""

TRACE_ONE_IN: int = _NAMES["defaults"]["traceOneIn"]
"""Default of `traceOneIn`: one request in this many is traced."""
