"""A small HTTP server that replaces Triton and its sidecar in tests of the steps.

It answers inference requests of KServe's v2 protocol (JSON) with ONNX Runtime, and `/status` and `/metrics`
as the sidecar does. The cluster suite uses the real servers.
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
    """Serves the version of each watched pipeline's pointer, unless an attribute says otherwise."""

    port: int = 0
    stores: dict[str, Store] = field(default_factory=dict)
    stuck: int | None = None
    """Serve this version whatever the pointer names; 0 for none."""
    refused: dict[int, str] = field(default_factory=dict)
    wrong: float = 0.0
    """Added to every prediction."""
    failures: int = 0
    """Number of inference requests that are still to be answered with 503."""
    fixed_answer: dict[str, Any] | None = None
    """Answer all inference requests with this object and `status_code`."""
    status_code: int = 200
    shadow_rows: int = 0
    metrics: str = ""
    questions: list[dict[str, Any]] = field(default_factory=list)
    pointers: list[int | None] = field(default_factory=list)
    """The version in the pointer at each request of `/status`."""

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
        if self.fixed_answer is not None:
            return self.status_code, self.fixed_answer
        version = self.serving(name)
        model = self.stores[name].get(f"versions/{version}/model.onnx")
        if model is None:
            return 400, {"error": f"no model {name}"}
        tensor = question["inputs"][0]
        predictions = (
            Scorer(model).predict(np.asarray(tensor["data"], np.float32).reshape(tensor["shape"]))
            + self.wrong
        )
        output = {
            "name": "prediction",
            "shape": list(predictions.shape),
            "datatype": "FP32",
            "data": predictions.ravel().tolist(),
        }
        return 200, {"model_name": name, "model_version": str(version), "outputs": [output]}


@contextmanager
def serving_triton() -> Iterator[SmallTriton]:
    """Run the server on a free port of this machine."""
    triton = SmallTriton()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self.answer(200, triton.metrics.encode())
            else:
                self.answer(200, json.dumps(triton.status()).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            code, answer = triton.infer(self.path.split("/")[3], body)
            self.answer(code, json.dumps(answer).encode())

        def answer(self, code: int, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the library's
            """Log nothing."""

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
