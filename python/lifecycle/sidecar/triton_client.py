"""A gRPC client for Triton: lists, loads and unloads models, sets tracing, and sends inference requests."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from lifecycle.sidecar.model_version import Rows

Answer = TypeVar("Answer")

UNAVAILABLE = ("StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED", "StatusCode.CANCELLED")

# Triton's log_frequency: it writes a file after this many traces. A larger number would delay counting them.
TRACES_A_FILE = 10


class Unavailable(Exception):
    """Triton does not answer in time."""


class Refused(Exception):
    """Triton refuses a request; the message is its reason."""


class TritonClient:
    """A client of one Triton server.

    Raises:
        Unavailable: From every method, if Triton does not answer.
        Refused: From every method, if Triton refuses the request.
    """

    def __init__(self, url: str, admin_key: str, load_seconds: float = 300, ask_seconds: float = 30) -> None:
        """Create the client; it connects with the first call.

        Args:
            url: `host:port` of Triton's gRPC endpoint.
            admin_key: Value of the header that Triton's restricted protocols require.
            load_seconds: Time limit of loading a model.
            ask_seconds: Time limit of an inference request.
        """
        # By default gRPC backs off for up to two minutes between two attempts to connect.
        channel = [("grpc.initial_reconnect_backoff_ms", 200), ("grpc.max_reconnect_backoff_ms", 1000)]
        self._client = InferenceServerClient(url, channel_args=channel)
        self._headers = {"triton-grpc-protocol-admin-key": admin_key}
        self._load_seconds = load_seconds
        self._ask_seconds = ask_seconds

    def serving(self) -> dict[str, set[int]]:
        """Return the ready versions of each model."""
        index = self._call(
            lambda: self._client.get_model_repository_index(headers=self._headers, client_timeout=10)
        )
        found: dict[str, set[int]] = {}
        for each in index.models:
            if each.state == "READY":
                found.setdefault(each.name, set()).add(int(each.version))
        return found

    def load(self, name: str) -> None:
        """Load a model from Triton's repository; a loaded version serves until the new one is ready."""
        self._call(
            lambda: self._client.load_model(name, headers=self._headers, client_timeout=self._load_seconds)
        )

    def unload(self, name: str) -> None:
        """Unload a model; a model that is not loaded is no error."""
        self._call(lambda: self._client.unload_model(name, headers=self._headers, client_timeout=30))

    def trace(self, name: str, one_in: int) -> None:
        """Make Triton trace one request in `one_in` of a model, with all tensors.

        The settings are read first and written only if they differ, which is the case after Triton's start
        and when the pipeline's rate changed. So a change of version does not replace settings that are in
        use.
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
        """Send one inference request.

        Args:
            name: Name of the model in Triton.
            version: The version that must answer.
            input_name: Name of the input tensor.
            output_name: Name of the output tensor.
            rows: Shape [rows, inputs]; not more rows than the model's largest batch.
            request_id: Id of the request; traces show it.

        Returns:
            The predictions, shape [rows, outputs], float32.
        """
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
