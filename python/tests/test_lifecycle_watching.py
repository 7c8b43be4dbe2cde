"""The decision from firing alerts whether a model is trained again."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from lifecycle_watching import Unanswered, ask, question, verdict

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def alert(name: str = "ModelDrift", version: str = "7", **more: str) -> dict[str, str]:
    return {"alertname": name, "version": version} | more


class Prometheus(BaseHTTPRequestHandler):
    """Answers every query with `body`."""

    status: ClassVar[int] = 200
    body: ClassVar[bytes] = b""
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        type(self).asked.append(parse_qs(urlsplit(self.path).query)["query"][0])
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def prometheus() -> Iterator[str]:
    Prometheus.status, Prometheus.asked = 200, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Prometheus)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_asks_for_the_alerts_of_the_version_that_serves() -> None:
    assert question("trips", on_drift=True) == (
        'ALERTS{alertstate="firing", alertname=~"ModelDrift|ModelPredictionDrift|ModelError", '
        'model="trips", monitored_namespace=""} '
        'and on (model, version) (mlops_model_serving{model="trips", monitored_namespace=""} == 1)'
    )


def test_asks_for_alerts_of_the_platform_where_somebody_else_runs_prometheus() -> None:
    assert question("trips", on_drift=False, matcher='namespace=~"a|b"') == (
        'ALERTS{alertstate="firing", alertname=~"ModelError", model="trips", namespace=~"a|b"} '
        'and on (model, version) (mlops_model_serving{model="trips", namespace=~"a|b"} == 1)'
    )


def test_drift_alerts_do_not_count_if_the_pipeline_says_so() -> None:
    assert 'alertname=~"ModelError"' in question("trips", on_drift=False)


def test_returns_the_labels_of_what_fires(prometheus: str) -> None:
    series = [{"metric": alert(feature="distance"), "value": [0, "1"]}]
    Prometheus.body = json.dumps({"status": "success", "data": {"result": series}}).encode()
    assert ask(prometheus, 'up{a="b"} == 1') == [alert(feature="distance")]
    assert Prometheus.asked == ['up{a="b"} == 1']


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (503, b"starting", "answers 503 starting"),
        (400, b'{"error": "parse error"}', "parse error"),
        (200, b"<html>", "cannot be asked"),
        (200, b'{"data": {}}', "cannot be asked"),
        (200, b"[]", "cannot be asked"),
    ],
)
def test_an_answer_that_says_nothing_of_the_model_is_no_answer(
    prometheus: str, status: int, body: bytes, message: str
) -> None:
    Prometheus.status, Prometheus.body = status, body
    with pytest.raises(Unanswered, match=message):
        ask(prometheus, "up")


def test_a_prometheus_that_is_away_is_no_answer() -> None:
    with pytest.raises(Unanswered, match=r"http://127.0.0.1:1 cannot be asked: .*refused"):
        ask("http://127.0.0.1:1", "up")


def test_without_a_firing_alert_nothing_is_retrained() -> None:
    assert not verdict([], None, False, DAY, NOW).retrain


def test_firing_alerts_retrain_and_are_the_reasons() -> None:
    alerts = [alert(feature="distance"), alert(feature="hour"), alert("ModelError", metric="rmse")]
    decided = verdict(alerts, None, False, DAY, NOW)
    assert decided.retrain
    assert decided.extra == {
        "version": "7",
        "reasons": ["ModelDrift distance", "ModelDrift hour", "ModelError rmse"],
    }
    assert decided.why == "version 7: ModelDrift distance, ModelDrift hour, ModelError rmse"


def test_an_alert_without_a_feature_is_its_name() -> None:
    assert verdict([alert("ModelError")], None, False, DAY, NOW).extra["reasons"] == ["ModelError"]


def test_a_run_under_way_is_waited_for() -> None:
    decided = verdict([alert()], None, True, DAY, NOW)
    assert not decided.retrain
    assert decided.why.endswith("a run is under way")


@pytest.mark.parametrize(
    ("since", "retrain"),
    [(timedelta(0), False), (DAY - timedelta(seconds=1), False), (DAY, True), (2 * DAY, True)],
)
def test_nothing_is_retrained_within_the_cooldown(since: timedelta, retrain: bool) -> None:
    assert verdict([alert()], NOW - since, False, DAY, NOW).retrain is retrain


def test_says_until_when_it_waits() -> None:
    decided = verdict([alert()], NOW - timedelta(hours=1), False, DAY, NOW)
    assert decided.why.endswith("asked for at 2026-03-01 11:00, none before 2026-03-02 11:00")


def test_a_hundred_looks_at_a_lasting_alert_make_one_retraining_a_cooldown() -> None:
    last, asked = None, []
    for minutes in range(0, 3 * 24 * 60, 5):
        now = NOW + timedelta(minutes=minutes)
        if verdict([alert()], last, False, DAY, now).retrain:
            last = now
            asked.append(now)
    assert asked == [NOW, NOW + DAY, NOW + 2 * DAY]


def test_while_replicas_change_over_the_newer_version_counts() -> None:
    decided = verdict([alert(version="9"), alert(version="10", feature="hour")], None, False, DAY, NOW)
    assert decided.extra == {"version": "10", "reasons": ["ModelDrift hour"]}
