"""Stands in for Triton and its sidecar: one small server that speaks to steps as both do.

It answers KServe's v2 protocol in JSON with onnxruntime, and `/status` and `/metrics` as the sidecar does.
The cluster suite has the real ones.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from lifecycle.model_repository import read_pointer
from lifecycle.steps.scoring import Scorer
from lifecycle.store import Store


@dataclass
class SmallTriton:
    """Follows the pointer of each pipeline it watches, unless it is told not to."""

    port: int = 0
    stores: dict[str, Store] = field(default_factory=dict)
    stuck: int | None = None
    """Serves this version, whatever the pointer says."""
    refused: dict[int, str] = field(default_factory=dict)
    wrong: float = 0.0
    """Added to every answer."""
    failures: int = 0
    """How many of the next questions it answers with 503."""
    says: dict[str, Any] | None = None
    """Answers this to the next questions instead."""
    status_code: int = 200
    shadow_rows: int = 0
    metrics: str = ""
    questions: list[dict[str, Any]] = field(default_factory=list)
    pointers: list[int | None] = field(default_factory=list)
    """The version of each pointer as `/status` was asked for it."""

    def watch(self, name: str, store: Store) -> None:
        self.stores[name] = store

    def status(self) -> dict[str, Any]:
        return {"replica": "small", "models": {name: self.model(name) for name in self.stores}}

    def model(self, name: str) -> dict[str, Any]:
        pointer = read_pointer(self.stores[name])
        wanted = None if pointer is None else pointer.version
        self.pointers.append(wanted)
        shadow = None if pointer is None else pointer.shadow
        return {
            "wanted": wanted,
            "serving": self.serving(name),
            "shadow": None if shadow in self.refused else shadow,
            "refused": {str(version): reason for version, reason in self.refused.items()},
            "shadowRows": self.shadow_rows if shadow is not None else 0,
        }

    def serving(self, name: str) -> int | None:
        pointer = read_pointer(self.stores[name])
        wanted = None if pointer is None else pointer.version
        if self.stuck is not None:
            return self.stuck or None
        return None if wanted in self.refused else wanted

    def infer(self, name: str, question: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.questions.append(question)
        if self.failures:
            self.failures -= 1
            return 503, {"error": "not now"}
        if self.says is not None:
            return self.status_code, self.says
        version = self.serving(name)
        model = self.stores[name].get(f"versions/{version}/model.onnx")
        if model is None:
            return 400, {"error": f"no model {name}"}
        tensor = question["inputs"][0]
        said = (
            Scorer(model).predict(np.asarray(tensor["data"], np.float32).reshape(tensor["shape"]))
            + self.wrong
        )
        output = {
            "name": "prediction",
            "shape": list(said.shape),
            "datatype": "FP32",
            "data": said.ravel().tolist(),
        }
        return 200, {"model_name": name, "model_version": str(version), "outputs": [output]}


@contextmanager
def serving_triton() -> Iterator[SmallTriton]:
    """Start one."""
    triton = SmallTriton()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self.answer(200, triton.metrics.encode())
            else:
                self.answer(200, json.dumps(triton.status()).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            code, said = triton.infer(self.path.split("/")[3], body)
            self.answer(code, json.dumps(said).encode())

        def answer(self, code: int, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the library's
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    triton.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield triton
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
