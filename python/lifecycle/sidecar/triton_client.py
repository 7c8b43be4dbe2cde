"""Triton over gRPC: what it serves, loading and unloading, tracing, and questions to a model."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from lifecycle.sidecar.model_version import Rows

Answer = TypeVar("Answer")

UNAVAILABLE = ("StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED", "StatusCode.CANCELLED")

# Each file that Triton writes holds this many traces: more would keep them from being counted for long.
TRACES_A_FILE = 10


class Unavailable(Exception):
    """Triton does not answer, or not in time."""


class Refused(Exception):
    """Triton refuses, and why."""


class TritonClient:
    """One Triton.

    Raises:
        Unavailable: From every method, when Triton does not answer.
        Refused: From every method, when it refuses.
    """

    def __init__(self, url: str, admin_key: str, load_seconds: float = 300, ask_seconds: float = 30) -> None:
        """Connect to nothing yet. `url` is host and port of gRPC; a load may take `load_seconds`."""
        # Without these, after a minute's absence the next attempt would be two minutes away.
        channel = [("grpc.initial_reconnect_backoff_ms", 200), ("grpc.max_reconnect_backoff_ms", 1000)]
        self._client = InferenceServerClient(url, channel_args=channel)
        self._headers = {"triton-grpc-protocol-admin-key": admin_key}
        self._load_seconds = load_seconds
        self._ask_seconds = ask_seconds

    def serving(self) -> dict[str, set[int]]:
        """The versions of each model that are ready."""
        index = self._call(
            lambda: self._client.get_model_repository_index(headers=self._headers, client_timeout=10)
        )
        found: dict[str, set[int]] = {}
        for each in index.models:
            if each.state == "READY":
                found.setdefault(each.name, set()).add(int(each.version))
        return found

    def load(self, name: str) -> None:
        """Serve what the repository has under this name; what it served goes on until that is ready."""
        self._call(
            lambda: self._client.load_model(name, headers=self._headers, client_timeout=self._load_seconds)
        )

    def unload(self, name: str) -> None:
        """Serve it no longer, if it was served."""
        self._call(lambda: self._client.unload_model(name, headers=self._headers, client_timeout=30))

    def trace(self, name: str, one_in: int) -> None:
        """Write a trace with every tensor of one request in so many; a model that is traced so is left alone.

        The settings are asked for first, and set again only where they differ: after Triton's start, and
        when the pipeline asks for another rate. A change of version replaces nothing that is in use.
        """
        wanted: dict[str, Any] = {
            "trace_level": ["TIMESTAMPS", "TENSORS"],
            "trace_rate": str(one_in),
            "trace_count": "-1",
            "log_frequency": str(TRACES_A_FILE),
        }
        now = self._call(
            lambda: self._client.get_trace_settings(name, headers=self._headers, client_timeout=10)
        ).settings
        if all(sorted(now[key].value) == sorted(_values(value)) for key, value in wanted.items()):
            return
        self._call(
            lambda: self._client.update_trace_settings(name, wanted, headers=self._headers, client_timeout=10)
        )

    def ask(
        self, name: str, version: int, input_name: str, output_name: str, rows: Rows, request_id: str
    ) -> Rows:
        """The answers of one version, shape [rows, outputs], to these rows, shape [rows, inputs]."""
        tensor = InferInput(input_name, list(rows.shape), "FP32")
        tensor.set_data_from_numpy(np.ascontiguousarray(rows, dtype=np.float32))
        answer = self._call(
            lambda: self._client.infer(
                name,
                [tensor],
                model_version=str(version),
                request_id=request_id,
                client_timeout=self._ask_seconds,
            )
        )
        output = answer.as_numpy(output_name)
        if output is None:
            raise Refused(f"the answer has no tensor '{output_name}'")
        return np.asarray(output, dtype=np.float32)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _call(self, call: Callable[[], Answer]) -> Answer:
        try:
            return call()
        except InferenceServerException as error:
            reason = " ".join(str(error.message()).split())
            if error.status() in UNAVAILABLE:
                raise Unavailable(reason) from error
            raise Refused(reason) from error


def _values(setting: str | list[str]) -> list[str]:
    return setting if isinstance(setting, list) else [setting]
