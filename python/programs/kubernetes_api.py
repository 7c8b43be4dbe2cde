"""Calls the Kubernetes API with the pod's service account, using the standard library only."""

import json
import ssl
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SERVER = "https://kubernetes.default.svc"


@dataclass(frozen=True)
class Request:
    """One request to the API server; `body` is sent unchanged."""

    method: str
    path: str
    body: str | None = None
    content_type: str = "application/json"


@dataclass(frozen=True)
class Answer:
    """The status and JSON body of a response. Error statuses are answers too and raise nothing."""

    status: int
    body: dict[str, Any]

    @property
    def reason(self) -> str:
        """The status and the API server's message, for people."""
        return f"{self.status} {self.body.get('message', '')}".strip()


class Refused(RuntimeError):
    """The API server refused a request that the program cannot do without."""


Call = Callable[[Request], Answer]


def api_server(account: Path = ACCOUNT, server: str = SERVER, seconds: float = 30) -> Call:
    """Return a function that calls the API server as this account.

    It raises OSError when no API server answers: nothing listens, the certificate is not of the
    account's CA, the answer stays away for so many seconds, breaks off, or is a success without JSON.
    """

    def call(request: Request) -> Answer:
        # Read anew each time: the kubelet renews the token, and the CA with it.
        token = (account / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": request.content_type}
        body = None if request.body is None else request.body.encode()
        with closing(_connection(account, server, seconds)) as connection:
            try:
                connection.request(request.method, request.path, body, headers)
                response = connection.getresponse()
                return _answer(response.status, response.read())
            except HTTPException as error:
                raise ConnectionError(f"no whole answer from {server}: {error!r}") from error

    return call


def _connection(account: Path, server: str, seconds: float) -> HTTPConnection:
    # Not urllib: it would send the token wherever HTTPS_PROXY or a redirect points.
    url = urlsplit(server)
    if url.scheme == "http":
        return HTTPConnection(url.netloc, timeout=seconds)
    context = ssl.create_default_context(cafile=str(account / "ca.crt"))
    # From Python 3.13 on it would refuse certificates without key identifiers, which older clusters have.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return HTTPSConnection(url.netloc, timeout=seconds, context=context)


def _answer(status: int, body: bytes) -> Answer:
    """The API server answers in JSON; a proxy before it and a missing path answer in text."""
    try:
        parsed = json.loads(body)
    except ValueError:
        parsed = None
    if isinstance(parsed, dict):
        return Answer(status, parsed)
    text = " ".join(body.decode(errors="replace").split())[:200]
    if status < 300:
        raise ConnectionError(f"this is no API server, it answered {status} {text}")
    return Answer(status, {"message": text})
