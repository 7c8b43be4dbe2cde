"""Calls of the API server: which responses are answers, and which certificates are trusted."""

import socket
import ssl
from pathlib import Path

import pytest

from certificates import Authority
from kubernetes_api import Answer, Call, Request, api_server
from small_api_server import Fault, SmallApiServer, serving

SECRETS = "/api/v1/namespaces/a/secrets"


def test_reads_the_token_anew_for_each_call(server: SmallApiServer, account: Path, call: Call) -> None:
    assert call(Request("GET", SECRETS)).status == 200
    server.token = "second-token"
    assert call(Request("GET", SECRETS)).status == 401
    (account / "token").write_text("second-token\n")
    assert call(Request("GET", SECRETS)).status == 200


def test_needs_no_ca_without_tls(account: Path, call: Call) -> None:
    assert not (account / "ca.crt").exists()
    assert call(Request("GET", SECRETS)).status == 200


def test_trusts_the_ca_of_its_account_and_no_other(account: Path) -> None:
    ours, another = Authority(), Authority()
    with serving(SmallApiServer(), ours.server("localhost", account)) as server:
        call = api_server(account, server.address)
        (account / "ca.crt").write_bytes(another.certificate)
        with pytest.raises(ssl.SSLCertVerificationError):
            call(Request("GET", SECRETS))
        assert server.seen == []
        (account / "ca.crt").write_bytes(ours.certificate)
        assert call(Request("GET", SECRETS)) == Answer(200, {"items": []})


def test_a_certificate_for_another_host_is_refused(account: Path) -> None:
    ours = Authority()
    (account / "ca.crt").write_bytes(ours.certificate)
    with (
        serving(SmallApiServer(), ours.server("elsewhere", account)) as server,
        pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"),
    ):
        api_server(account, server.address)(Request("GET", SECRETS))


def test_with_tls_a_missing_ca_is_an_os_error(account: Path) -> None:
    with pytest.raises(FileNotFoundError):
        api_server(account, "https://localhost:1")(Request("GET", SECRETS))


def test_a_proxy_of_the_pod_never_sees_the_token(
    server: SmallApiServer, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert call(Request("GET", SECRETS)).status == 200


def test_a_redirect_is_not_followed(server: SmallApiServer, call: Call) -> None:
    server.faults["GET", SECRETS] = Fault(307, b"elsewhere")
    assert call(Request("GET", SECRETS)) == Answer(307, {"message": "elsewhere"})


@pytest.mark.parametrize("status", [400, 403, 409, 429, 500, 503])
def test_a_refusal_is_an_answer_with_its_reason(server: SmallApiServer, call: Call, status: int) -> None:
    server.faults["GET", SECRETS] = Fault(status, b'{"kind": "Status", "message": "this is why"}')
    assert call(Request("GET", SECRETS)).reason == f"{status} this is why"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"404 page not found\n", "502 404 page not found"),
        (b"<html>\n <b>Bad Gateway</b>\n</html>\n", "502 <html> <b>Bad Gateway</b> </html>"),
        (b"\xff\xfe", "502 \ufffd\ufffd"),
        (b'["a list"]', '502 ["a list"]'),
        (b"x" * 5000, "502 " + "x" * 200),
        (b"", "502"),
    ],
)
def test_a_refusal_that_is_no_json_is_one_short_line(
    server: SmallApiServer, call: Call, body: bytes, reason: str
) -> None:
    server.faults["GET", SECRETS] = Fault(502, body)
    assert call(Request("GET", SECRETS)).reason == reason


def test_a_success_that_is_no_json_did_not_come_from_an_api_server(
    server: SmallApiServer, call: Call
) -> None:
    server.faults["GET", SECRETS] = Fault(200, b"<html>Please log in</html>")
    with pytest.raises(ConnectionError, match="no API server, it answered 200 <html>Please log in"):
        call(Request("GET", SECRETS))


def test_an_incomplete_answer_is_a_connection_error(server: SmallApiServer, call: Call) -> None:
    server.faults["GET", SECRETS] = Fault(200, b'{"items": []}', missing=10)
    with pytest.raises(ConnectionError, match="no whole answer"):
        call(Request("GET", SECRETS))


def test_an_answer_that_takes_too_long_is_a_timeout(server: SmallApiServer, account: Path) -> None:
    server.faults["GET", SECRETS] = Fault(pause=0.5)
    with pytest.raises(TimeoutError):
        api_server(account, server.address, seconds=0.05)(Request("GET", SECRETS))


def test_an_unreachable_api_server_is_an_os_error(account: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        api_server(account, f"http://127.0.0.1:{port}")(Request("GET", SECRETS))
