"""Decides from the firing alerts whether a model is trained again.

This module does not import Airflow, so that tests run without it.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import requests

from lifecycle.cluster_http import cluster_session
from lifecycle.names import ALERTS, METRICS, MONITORED_NAMESPACE_LABEL

SECONDS = 20
"""Seconds that Prometheus may take to answer."""


class Unanswered(RuntimeError):
    """Prometheus did not answer the query, so nothing is known about the model."""


@dataclass(frozen=True)
class Verdict:
    """The decision.

    Attributes:
        retrain: Whether to train the model again.
        why: The reason, for the task's log.
        extra: Content of the Asset event: `version` and `reasons`.
    """

    retrain: bool
    why: str
    extra: dict[str, Any] = field(default_factory=dict)


OWN_SERIES = f'{MONITORED_NAMESPACE_LABEL}=""'
"""PromQL matcher for the platform's series and alerts in its own Prometheus."""


def question(model: str, on_drift: bool, matcher: str = OWN_SERIES) -> str:
    """Return the PromQL query for the alerts that fire for the serving version of `model`.

    The join with the serving version is needed because alerts of an earlier version go on firing for a while.
    The matcher leaves out series and alerts of other namespaces, which may have the same names.

    Args:
        model: The pipeline's name.
        on_drift: Whether drift alerts count. The alert on the model's error always counts; it exists only if
            the pipeline is to be retrained on errors.
        matcher: PromQL matcher for the platform's series and alerts.
    """
    names = "|".join([*((ALERTS.drift, ALERTS.prediction_drift) if on_drift else ()), ALERTS.error])
    ours = f'model="{model}", {matcher}'
    firing = f'ALERTS{{alertstate="firing", alertname=~"{names}", {ours}}}'
    return f"{firing} and on (model, version) ({METRICS.model_serving.name}{{{ours}}} == 1)"


def ask(prometheus: str, query: str) -> list[dict[str, str]]:
    """Run an instant query and return the labels of each series in the result.

    API: https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries

    Raises:
        Unanswered: Prometheus does not answer at the address `prometheus`, or not with a result.
    """
    try:
        with cluster_session() as session:
            answer = session.get(f"{prometheus}/api/v1/query", params={"query": query}, timeout=SECONDS)
        if answer.status_code != requests.codes.ok:
            body = answer.content.decode(errors="replace")[:200]
            raise Unanswered(f"Prometheus at {prometheus} answers {answer.status_code} {body}")
        found = answer.json()["data"]["result"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unanswered(f"Prometheus at {prometheus} cannot be asked: {error!r}") from error
    return [series["metric"] for series in found]


def verdict(
    alerts: list[dict[str, str]], last: datetime | None, running: bool, cooldown: timedelta, now: datetime
) -> Verdict:
    """Decide whether to retrain.

    Args:
        alerts: Labels of the firing alerts: `alertname`, `version`, and `feature` or `metric`.
        last: Time of the last retrain event, whoever emitted it; None if there was none.
        running: Whether a run of the pipeline is running or queued.
        cooldown: Time after `last` in which no alert of any version starts a retraining.
        now: The current time.
    """
    if not alerts:
        return Verdict(False, "no alert fires for the version that serves")
    reasons = defaultdict(set)
    for alert in alerts:
        detail = alert.get("feature") or alert.get("metric")
        reasons[alert["version"]].add(f"{alert['alertname']} {detail}" if detail else alert["alertname"])
    # While replicas switch, two versions serve, and both may have alerts: the newer one counts. Versions are
    # numbers as text, so the longer text is the larger number.
    version = max(reasons, key=lambda text: (len(text), text))
    fires = f"version {version}: {', '.join(sorted(reasons[version]))}"
    if running:
        return Verdict(False, f"{fires}; a run is under way")
    if last is not None and now - last < cooldown:
        asked = f"a retraining was asked for at {last:%Y-%m-%d %H:%M}"
        return Verdict(False, f"{fires}; {asked}, none before {last + cooldown:%Y-%m-%d %H:%M}")
    return Verdict(True, fires, {"version": version, "reasons": sorted(reasons[version])})
