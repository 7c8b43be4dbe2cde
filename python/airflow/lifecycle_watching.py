"""Whether a model should be trained again, decided from the alerts that fire.

Nothing here imports Airflow, so that everything decided here is tested without it.
"""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

from lifecycle.names import ALERTS, METRICS, MONITORED_NAMESPACE_LABEL

SECONDS = 20
"""How long Prometheus may take to answer."""


class Unanswered(RuntimeError):
    """Prometheus could not be asked. It says nothing of the model."""


@dataclass(frozen=True)
class Verdict:
    """Whether to retrain, why or why not, and what the event carries."""

    retrain: bool
    why: str
    extra: dict[str, Any] = field(default_factory=dict)


def question(model: str, on_drift: bool) -> str:
    """PromQL for the alerts that fire for the version of `model` that serves.

    An alert of a version that no longer serves goes on firing for a while. The error's alert
    exists only where the pipeline asks to be retrained for it. Alerts and metrics of somebody
    else's namespace count for nothing, whatever their names.
    """
    names = "|".join([*((ALERTS.drift, ALERTS.prediction_drift) if on_drift else ()), ALERTS.error])
    ours = f'model="{model}", {MONITORED_NAMESPACE_LABEL}=""'
    firing = f'ALERTS{{alertstate="firing", alertname=~"{names}", {ours}}}'
    return f"{firing} and on (model, version) ({METRICS.model_serving.name}{{{ours}}} == 1)"


def ask(prometheus: str, query: str) -> list[dict[str, str]]:
    """The labels of each series that `query` finds now.

    Raises:
        Unanswered: nothing answers at `prometheus`, or not as Prometheus does.
    """
    # Never through a proxy: it is a Service of this cluster.
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(
            f"{prometheus}/api/v1/query?{urlencode({'query': query})}", timeout=SECONDS
        ) as answer:
            found = json.load(answer)["data"]["result"]
    except HTTPError as error:
        body = error.read().decode(errors="replace")[:200]
        raise Unanswered(f"Prometheus at {prometheus} answers {error.code} {body}") from error
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        raise Unanswered(f"Prometheus at {prometheus} cannot be asked: {error!r}") from error
    return [series["metric"] for series in found]


def verdict(
    alerts: list[dict[str, str]], last: datetime | None, running: bool, cooldown: timedelta, now: datetime
) -> Verdict:
    """Decide whether to retrain.

    Args:
        alerts: labels of the alerts that fire: `alertname`, `version`, `feature` or `metric`.
        last: when the last retraining was asked for, by whomever; None if never.
        running: whether a run of the pipeline is under way or waits for its turn.
        cooldown: how long after `last` none is asked for, however many alerts fire and for whichever version.
        now: the time.
    """
    if not alerts:
        return Verdict(False, "no alert fires for the version that serves")
    reasons = defaultdict(set)
    for alert in alerts:
        detail = alert.get("feature") or alert.get("metric")
        reasons[alert["version"]].add(f"{alert['alertname']} {detail}" if detail else alert["alertname"])
    # While replicas change over, two versions serve: the newer one is the one to replace.
    version = max(reasons, key=lambda text: (len(text), text))
    fires = f"version {version}: {', '.join(sorted(reasons[version]))}"
    if running:
        return Verdict(False, f"{fires}; a run is under way")
    if last is not None and now - last < cooldown:
        asked = f"a retraining was asked for at {last:%Y-%m-%d %H:%M}"
        return Verdict(False, f"{fires}; {asked}, none before {last + cooldown:%Y-%m-%d %H:%M}")
    return Verdict(True, fires, {"version": version, "reasons": sorted(reasons[version])})
