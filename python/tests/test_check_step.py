"""check_step.py against one server that stands for MLflow, the object store and Triton."""

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import check_step

LOGIN = "Basic " + base64.b64encode(b"admin:right").decode()


class Services(BaseHTTPRequestHandler):
    """MLflow under /api, Triton under /v2, and an object store at the root."""

    triton_status = 200

    def do_GET(self) -> None:
        if self.path.startswith("/api/"):
            self.send_response(200 if self.headers["Authorization"] == LOGIN else 401)
        elif self.path == "/v2/health/ready":
            self.send_response(type(self).triton_status)
        else:
            self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def environ() -> Iterator[dict[str, str]]:
    Services.triton_status = 200
    server = ThreadingHTTPServer(("127.0.0.1", 0), Services)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_port}"
    yield {
        "MLFLOW_TRACKING_URI": f"http://{address}",
        "MLFLOW_TRACKING_USERNAME": "admin",
        "MLFLOW_TRACKING_PASSWORD": "right",
        "AWS_ENDPOINT_URL_S3": f"http://{address}",
        "TRITON_HTTP_URL": address,
    }
    server.shutdown()
    server.server_close()


def test_succeeds_when_all_three_answer(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert check_step.main(environ, "TRITON_HTTP_URL") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:3] for line in lines] == ["yes", "yes", "yes"]


def test_names_a_wrong_login_and_never_prints_it(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert check_step.main({**environ, "MLFLOW_TRACKING_PASSWORD": "guessed"}, "TRITON_HTTP_URL") == 1
    out = capsys.readouterr().out
    assert "NO   MLflow takes the login" in out
    assert "said 401" in out
    assert "guessed" not in out


def test_names_a_triton_that_is_not_ready(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    Services.triton_status = 400
    assert check_step.main(environ, "TRITON_HTTP_URL") == 1
    assert "NO   Triton is ready" in capsys.readouterr().out


def test_names_what_cannot_be_reached(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        check_step.main(
            {**environ, "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1"}, "TRITON_HTTP_URL", patience=0
        )
        == 1
    )
    assert "refused" in capsys.readouterr().out


def test_waits_for_what_is_not_there_yet(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    late = ThreadingHTTPServer(("127.0.0.1", 0), Services, bind_and_activate=False)
    late.server_bind()

    def begin() -> None:
        late.server_activate()
        late.serve_forever()

    threading.Timer(0.7, begin).start()
    address = f"http://127.0.0.1:{late.server_address[1]}"
    assert check_step.main({**environ, "AWS_ENDPOINT_URL_S3": address}, "TRITON_HTTP_URL") == 0
    assert "NO" not in capsys.readouterr().out
    late.shutdown()
    late.server_close()
