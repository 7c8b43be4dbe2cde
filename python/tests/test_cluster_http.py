"""HTTP inside the cluster: no proxy, and no login that a file of the machine's would add."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from certificates import Authority
from file_server import Answer, FileServer, serving_files
from lifecycle.cluster_http import cluster_session
from small_api_server import SmallApiServer, serving

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A server that every variable names as the proxy, and no_proxy excepts nothing from."""
    with serving_files() as proxy:
        for name in VARIABLES:
            monkeypatch.setenv(name, proxy.address)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        yield proxy


def test_a_proxy_that_the_variables_name_is_not_asked(proxy: FileServer, file_server: FileServer) -> None:
    file_server.answers["/status"] = Answer(b"of the service")
    with cluster_session() as session:
        assert session.get(f"{file_server.address}/status").content == b"of the service"
    assert proxy.seen == []
    # It is one that another session does ask.
    proxy.answers[f"{file_server.address}/status"] = Answer(b"of the proxy")
    assert requests.get(f"{file_server.address}/status").content == b"of the proxy"


def test_a_redirect_leads_to_no_proxy_either(proxy: FileServer, file_server: FileServer) -> None:
    file_server.answers["/old"] = Answer(status=302, headers=(("Location", "/new"),))
    file_server.answers["/new"] = Answer(b"here")
    with cluster_session() as session:
        assert session.get(f"{file_server.address}/old").content == b"here"
    assert (file_server.seen, proxy.seen) == (["/old", "/new"], [])


def test_no_netrc_adds_a_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine localhost login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with serving(SmallApiServer()) as server, cluster_session() as session:
        session.get(server.address)
        requests.get(server.address)
    assert [bool(each.token) for each in server.seen] == [False, True]


def test_asks_for_an_answer_that_is_not_compressed() -> None:
    with cluster_session() as session:
        prepared = session.prepare_request(requests.Request("GET", "http://triton"))
    assert prepared.headers["Accept-Encoding"] == "identity"


def test_trusts_whom_ssl_cert_file_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Authority(strict=True)
    with serving(SmallApiServer(), ours.server("localhost", tmp_path)) as server:
        with (
            cluster_session() as session,
            pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY"),
        ):
            session.get(server.address)
        (tmp_path / "ca.crt").write_bytes(ours.certificate)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
        with cluster_session() as session:
            assert session.get(server.address).status_code == 401
