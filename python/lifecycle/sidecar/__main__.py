"""The program beside Triton: it makes Triton serve what the pointers say, and counts what is asked.

MODELS_BUCKET and DATA_BUCKET name the buckets; the store's address and credentials are boto3's variables.
TRITON_GRPC_URL and TRITON_ADMIN_KEY are Triton's; MODEL_REPOSITORY and TRACE_DIR are folders shared with it.
TRACE_MAX_BYTES bounds the latter. REPLICA names this replica, PORT is where HTTP is served.
"""

import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from lifecycle.sidecar.downloader import Fetch, WatchedStore
from lifecycle.sidecar.drift_counters import Ledger
from lifecycle.sidecar.metrics import Exposition
from lifecycle.sidecar.model_cache import Shelf
from lifecycle.sidecar.payload_writer import Payloads
from lifecycle.sidecar.reconciler import Sync
from lifecycle.sidecar.serving_state import Standing
from lifecycle.sidecar.shadow_scorer import Replay
from lifecycle.sidecar.trace_reader import MOST_BYTES, Observe
from lifecycle.sidecar.triton_client import TritonControl
from lifecycle.store import Store

FETCH_SECONDS = 2.0
SYNC_SECONDS = 0.5
OBSERVE_SECONDS = 1.0
REPLAY_SECONDS = 0.5
FLUSH_SECONDS = 30.0

log = logging.getLogger("sidecar")


@dataclass(frozen=True)
class Task:
    """What one thread does again and again. A `tick` that raises ends the process."""

    name: str
    tick: Callable[[], None]
    seconds: float
    wake: threading.Event


class Sidecar:
    """All threads, and what they share."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Put the parts together; nothing runs yet."""
        self.standing = Standing()
        self.ledger = Ledger()
        self.replica = environ.get("REPLICA") or socket.gethostname()
        self._port = int(environ.get("PORT", "9101"))
        self._control = TritonControl(
            environ.get("TRITON_GRPC_URL", "localhost:8001"), environ["TRITON_ADMIN_KEY"]
        )
        arrived = threading.Event()
        shelf = Shelf(Path(environ.get("MODEL_REPOSITORY", "/models")))
        sync = Sync(self._control, shelf, self.standing, self.ledger)
        fetch = Fetch(WatchedStore(environ["MODELS_BUCKET"]), shelf, self.standing, arrived.set)
        replay = Replay(self._control, self.ledger)
        self._payloads = Payloads(
            Store(environ["DATA_BUCKET"], patience=0).put,
            self.replica,
            lambda lost: self.ledger.drop("payload", lost),
        )
        observe = Observe(
            Path(environ.get("TRACE_DIR", "/traces")),
            self.ledger,
            self._payloads,
            replay,
            int(environ.get("TRACE_MAX_BYTES", MOST_BYTES)),
        )
        self._tasks = [
            Task("fetch", fetch.tick, FETCH_SECONDS, threading.Event()),
            Task("sync", sync.tick, SYNC_SECONDS, arrived),
            Task("observe", observe.tick, OBSERVE_SECONDS, threading.Event()),
            Task("replay", replay.tick, REPLAY_SECONDS, threading.Event()),
            Task("payloads", self._payloads.flush, FLUSH_SECONDS, threading.Event()),
        ]
        self._stopping = threading.Event()
        self._failed = False

    def run(self) -> int:
        """Run until `stop`; return the exit status: 1 where a thread died."""
        server = ThreadingHTTPServer(("", self._port), _handler(self))
        server.daemon_threads = True
        threads = [
            threading.Thread(target=self._repeat, args=(task,), name=task.name, daemon=True)
            for task in self._tasks
        ]
        threads.append(
            threading.Thread(target=self._watched, args=(server.serve_forever,), name="http", daemon=True)
        )
        for thread in threads:
            thread.start()
        log.info("listening on %d", self._port)
        self._stopping.wait()
        for task in self._tasks:
            task.wake.set()
        server.shutdown()
        server.server_close()
        for thread in threads:
            thread.join(timeout=3)
        if not self._failed:
            self._payloads.flush()
        self._control.close()
        return int(self._failed)

    def stop(self) -> None:
        """End `run`."""
        self._stopping.set()

    def status(self) -> dict[str, Any]:
        """What `/status` says."""
        models = self.standing.status()
        for name, model in models.items():
            model["shadowRows"] = self.ledger.shadow_rows(name)
        return {"replica": self.replica, "models": models}

    def _repeat(self, task: Task) -> None:
        def loop() -> None:
            while not self._stopping.is_set():
                task.tick()
                task.wake.wait(task.seconds)
                if not self._stopping.is_set():
                    task.wake.clear()

        self._watched(loop)

    def _watched(self, work: Callable[[], None]) -> None:
        """A thread without which the others would only seem to work must end them all."""
        try:
            work()
        except BaseException:
            log.exception("the thread '%s' died", threading.current_thread().name)
            self._failed = True
            raise
        finally:
            self._stopping.set()


def main() -> int:
    """Run until SIGTERM."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    sidecar = Sidecar(os.environ)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sidecar.stop())
    return sidecar.run()


def _handler(sidecar: Sidecar) -> type[BaseHTTPRequestHandler]:
    registry = CollectorRegistry()
    registry.register(Exposition(sidecar.standing, sidecar.ledger))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/ready":
                ready = sidecar.standing.ready()
                self._answer(200 if ready else 503, "text/plain", b"ready\n" if ready else b"not yet\n")
            elif self.path == "/status":
                self._answer(200, "application/json", json.dumps(sidecar.status()).encode())
            elif self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
            else:
                self._answer(404, "text/plain", b"/ready, /status or /metrics\n")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the library's
            """Probes are not worth a line each."""

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


if __name__ == "__main__":
    sys.exit(main())
