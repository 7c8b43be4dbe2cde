"""A small Kubernetes API server with the few answers that the programs depend on."""

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

CORE = {"/api/v1/secrets", "/api/v1/configmaps"}


@dataclass(frozen=True)
class Seen:
    """One received request."""

    method: str
    path: str
    query: dict[str, str]
    token: str


@dataclass(frozen=True)
class Fault:
    """A faulty answer, given `times` times, after `pause` seconds.

    The body lacks `missing` bytes of the announced Content-Length.
    """

    status: int = 200
    body: bytes = b"{}"
    missing: int = 0
    pause: float = 0.0
    times: int = 1_000_000


@dataclass
class SmallApiServer:
    """The server's state: objects and faults by path, and the received requests."""

    token: str = "first-token"
    address: str = ""
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: dict[tuple[str, str], Fault] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, path: str, body: dict[str, Any]) -> None:
        """Store an object as another client would."""
        self.objects[path] = {"metadata": {"name": path.rsplit("/", 1)[-1]}} | body

    def paths(self, method: str) -> list[str]:
        """Paths of the requests with this method."""
        return [seen.path for seen in self.seen if seen.method == method]

    def fault(self, method: str, path: str) -> Fault | None:
        """Return the fault for this request, if it has one, and count it down."""
        fault = self.faults.get((method, path))
        if fault is None or fault.times == 0:
            return None
        self.faults[method, path] = Fault(
            fault.status, fault.body, fault.missing, fault.pause, fault.times - 1
        )
        return fault

    def answer(self, seen: Seen, body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and body for a request without a fault."""
        if seen.token != self.token:
            return 401, {"message": "Unauthorized"}
        head, _, rest = seen.path.partition("/namespaces/")
        _, plural, *name = rest.split("/")
        if f"{head}/{plural}" not in CORE:
            return 404, {"message": "the server could not find the requested resource"}
        if seen.method == "POST":
            return self._create(seen.path, json.loads(body))
        if not name:
            return 200, {"items": self._listed(seen)}
        if seen.path not in self.objects:
            return 404, {"message": f'{plural} "{name[0]}" not found'}
        return 200, self.objects[seen.path]

    def _create(self, collection: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        path = f"{collection}/{body['metadata']['name']}"
        if path in self.objects:
            return 409, {"message": f"{path} already exists"}
        self.objects[path] = body
        return 201, body

    def _listed(self, seen: Seen) -> list[dict[str, Any]]:
        label, _, value = seen.query.get("labelSelector", "").partition("=")
        listed = []
        for path, item in self.objects.items():
            labels = item["metadata"].get("labels", {})
            if path.startswith(f"{seen.path}/") and label in labels and value in ("", labels[label]):
                listed.append(item)
        return listed


@contextmanager
def serving(server: SmallApiServer, tls: ssl.SSLContext | None = None) -> Iterator[SmallApiServer]:
    """Run the server on a free port of this machine and set `server.address`."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            url = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            seen = Seen(self.command, url.path, query, token)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with server.lock:
                server.seen.append(seen)
                fault = server.fault(seen.method, seen.path)
                if fault is None:
                    status, answer = server.answer(seen, body)
                    fault = Fault(status, json.dumps(answer).encode())
            time.sleep(fault.pause)
            self.send_response(fault.status)
            self.send_header("Content-Length", str(len(fault.body) + fault.missing))
            self.end_headers()
            self.wfile.write(fault.body)

        do_GET = do_POST = handle_any  # noqa: N815 - the base class looks for these

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
            pass

    class Listener(ThreadingHTTPServer):
        request_queue_size = 64

        def handle_error(self, request: object, client_address: object) -> None:
            """Ignore errors: tests close connections early."""

    listener = Listener(("127.0.0.1", 0), Handler)
    if tls is not None:
        listener.socket = tls.wrap_socket(listener.socket, server_side=True)
    server.address = f"http{'s' if tls else ''}://localhost:{listener.server_address[1]}"
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()
