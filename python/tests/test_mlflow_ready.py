"""The readiness probe of MLflow, which needs its database and its users."""

import base64
from collections.abc import Iterator

import pytest

from mlflow_ready import main
from small_api_server import Fault, SmallApiServer, serving

SEARCH = "/api/2.0/mlflow/experiments/search"


@pytest.fixture
def mlflow() -> Iterator[SmallApiServer]:
    with serving(SmallApiServer()) as server:
        server.faults["GET", SEARCH] = Fault(200, b'{"experiments": []}')
        yield server


def test_ready_when_the_search_is_answered(mlflow: SmallApiServer) -> None:
    assert main("admin", "pass:word", mlflow.address) == 0
    (seen,) = mlflow.seen
    assert seen.query == {"max_results": "1"}
    assert base64.b64decode(seen.token.removeprefix("Basic ")) == b"admin:pass:word"


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_not_ready_when_it_is_refused(
    mlflow: SmallApiServer, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    mlflow.faults["GET", SEARCH] = Fault(status)
    assert main("admin", "password", mlflow.address) == 1
    assert capsys.readouterr().out.startswith(f"MLflow does not answer: HTTP Error {status}")


def test_not_ready_when_the_answer_takes_too_long(mlflow: SmallApiServer) -> None:
    mlflow.faults["GET", SEARCH] = Fault(pause=0.5)
    assert main("admin", "password", mlflow.address, seconds=0.05) == 1


def test_not_ready_before_it_listens(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("admin", "password", "http://127.0.0.1:9") == 1
    assert "password" not in capsys.readouterr().out


def test_a_proxy_of_the_pod_is_not_asked(mlflow: SmallApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert main("admin", "password", mlflow.address) == 0
