"""The Kubernetes API as a pod's own account sees it, with the standard library alone."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SERVER = "https://kubernetes.default.svc"


@dataclass(frozen=True)
class Request:
    """One call. `body` is sent as it is; `content_type` says what it is."""

    method: str
    path: str
    body: str | None = None
    content_type: str = "application/json"


@dataclass(frozen=True)
class Answer:
    """Status and JSON body. A refusal is an answer too: nothing is raised for it."""

    status: int
    body: dict[str, Any]

    @property
    def reason(self) -> str:
        """What the API server said, for a person."""
        return f"{self.status} {self.body.get('message', '')}".strip()


Call = Callable[[Request], Answer]


def api_server(account: Path = ACCOUNT, server: str = SERVER) -> Call:
    """Return a function that calls the API server as this account.

    It raises OSError (`urllib.error.URLError` among them) when the server cannot be reached.
    """
    context = ssl.create_default_context(cafile=str(account / "ca.crt")) if server.startswith("https") else None

    def call(request: Request) -> Answer:
        # Read anew each time: the kubelet renews the token.
        token = (account / "token").read_text()
        http = urllib.request.Request(
            server + request.path,
            method=request.method,
            data=None if request.body is None else request.body.encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": request.content_type},
        )
        try:
            with urllib.request.urlopen(http, context=context, timeout=30) as response:
                return Answer(response.status, json.load(response))
        except urllib.error.HTTPError as error:
            return Answer(error.code, _message(error.read()))

    return call


def _message(body: bytes) -> dict[str, Any]:
    """The API server answers in JSON, a proxy before it or a missing path in text."""
    try:
        parsed = json.loads(body)
    except ValueError:
        return {"message": body.decode(errors="replace").strip()}
    return parsed if isinstance(parsed, dict) else {"message": str(parsed)}
