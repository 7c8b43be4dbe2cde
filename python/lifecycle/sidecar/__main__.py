"""Triton's sidecar as a program: `python -m lifecycle.sidecar`.

It makes Triton serve the versions that the pointers name, and counts sampled requests. It reads these
environment variables: those of names.ENVIRONMENT for the buckets, the folders shared with Triton and Triton's
address; boto3's variables for the object store; TRACE_MAX_BYTES, the size limit of the folder of traces;
REPLICA, this replica's name; PORT, the port of the HTTP server.
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

from lifecycle.names import ENVIRONMENT, READY_PATH, SIDECAR_PORT, STATUS_PATH
from lifecycle.sidecar.downloader import Downloader, WatchedStore
from lifecycle.sidecar.drift_counters import DriftCounters
from lifecycle.sidecar.metrics import MetricsCollector
from lifecycle.sidecar.model_cache import ModelCache
from lifecycle.sidecar.payload_writer import PayloadWriter
from lifecycle.sidecar.reconciler import Reconciler
from lifecycle.sidecar.serving_state import ServingState
from lifecycle.sidecar.shadow_scorer import ShadowScorer
from lifecycle.sidecar.trace_reader import MOST_BYTES, TraceReader
from lifecycle.sidecar.triton_client import TritonClient
from lifecycle.store import Store

DOWNLOAD_SECONDS = 2.0
RECONCILE_SECONDS = 0.5
TRACE_SECONDS = 1.0
SHADOW_SECONDS = 0.5
FLUSH_SECONDS = 30.0

log = logging.getLogger("sidecar")


@dataclass(frozen=True)
class Task:
    """Work that one thread repeats.

    Attributes:
        name: The thread's name.
        tick: Does the work once. If it raises, the process ends.
        seconds: Pause between two ticks.
        wake: Ends the pause early when it is set.
    """

    name: str
    tick: Callable[[], None]
    seconds: float
    wake: threading.Event


class Sidecar:
    """The sidecar's threads and the state that they share."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Create all parts from the environment variables; no thread runs yet.

        Raises:
            KeyError: A required variable is missing.
        """
        self.state = ServingState()
        self.counters = DriftCounters()
        self.replica = environ.get("REPLICA") or socket.gethostname()
        self.port = int(environ.get("PORT", SIDECAR_PORT))
        self._triton = TritonClient(
            environ[ENVIRONMENT.triton_grpc_url], environ[ENVIRONMENT.triton_admin_key]
        )
        arrived = threading.Event()
        cache = ModelCache(Path(environ[ENVIRONMENT.model_repository]))
        reconciler = Reconciler(self._triton, cache, self.state, self.counters)
        downloader = Downloader(
            WatchedStore(environ[ENVIRONMENT.models_bucket]), cache, self.state, arrived.set
        )
        shadow_scorer = ShadowScorer(self._triton, self.counters)
        self._payload_writer = PayloadWriter(
            Store(environ[ENVIRONMENT.data_bucket], patience=0).put,
            self.replica,
            lambda lost: self.counters.drop("payload", lost),
        )
        trace_reader = TraceReader(
            Path(environ[ENVIRONMENT.trace_dir]),
            self.counters,
            self._payload_writer,
            shadow_scorer,
            int(environ.get("TRACE_MAX_BYTES", MOST_BYTES)),
        )
        self._tasks = [
            Task("downloader", downloader.tick, DOWNLOAD_SECONDS, threading.Event()),
            Task("reconciler", reconciler.tick, RECONCILE_SECONDS, arrived),
            Task("trace_reader", trace_reader.tick, TRACE_SECONDS, threading.Event()),
            Task("shadow_scorer", shadow_scorer.tick, SHADOW_SECONDS, threading.Event()),
            Task("payload_writer", self._payload_writer.flush, FLUSH_SECONDS, threading.Event()),
        ]
        self._stopping = threading.Event()
        self._failed = False

    def run(self) -> int:
        """Run until `stop` is called or a thread fails; return the exit status, 1 if a thread failed."""
        server = ThreadingHTTPServer(("", self.port), _handler(self))
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
        log.info("listening on %d", self.port)
        self._stopping.wait()
        for task in self._tasks:
            task.wake.set()
        server.shutdown()
        server.server_close()
        for thread in threads:
            thread.join(timeout=3)
        if not self._failed:
            self._payload_writer.flush()
        self._triton.close()
        return int(self._failed)

    def stop(self) -> None:
        """Make `run` return."""
        self._stopping.set()

    def status(self) -> dict[str, Any]:
        """Return the JSON object of `/status`; docs/lifecycle.md describes it."""
        models = self.state.status()
        for name, model in models.items():
            model["shadowRows"] = self.counters.shadow_rows(name)
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
        """Run `work` and stop the process when it ends, because the threads need each other."""
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
    registry.register(MetricsCollector(sidecar.state, sidecar.counters))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == READY_PATH:
                ready = sidecar.state.ready()
                self._answer(200 if ready else 503, "text/plain", b"ready\n" if ready else b"not yet\n")
            elif self.path == STATUS_PATH:
                self._answer(200, "application/json", json.dumps(sidecar.status()).encode())
            elif self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
            else:
                self._answer(404, "text/plain", f"{READY_PATH}, {STATUS_PATH} or /metrics\n".encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the library's
            """Log nothing: probes and scrapes would fill the log."""

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


if __name__ == "__main__":
    sys.exit(main())
