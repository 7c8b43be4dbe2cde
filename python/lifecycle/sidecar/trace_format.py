"""Parser for Triton's trace files at the trace levels TIMESTAMPS and TENSORS.

Format: https://github.com/triton-inference-server/server/blob/main/docs/user_guide/trace.md
"""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensor = NDArray[np.float64]

# Activities with the request's input and the model's output; other activities repeat the same tensors.
INPUT = "TENSOR_QUEUE_INPUT"
OUTPUT = "TENSOR_BACKEND_OUTPUT"


@dataclass
class Trace:
    """One traced request.

    Attributes:
        model: Name of the model in Triton.
        version: The version that answered.
        request_id: The client's id of the request, or an empty text.
        started: Start in nanoseconds of the machine's monotonic clock; 0 if the trace has no start.
        inputs: Input tensors by name, float64.
        outputs: Output tensors by name, float64.
    """

    model: str
    version: int
    request_id: str
    started: int = 0
    inputs: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)


def parse(text: str) -> list[Trace]:
    """Parse the text of a trace file.

    Raises:
        ValueError: The text is not a complete trace file.
    """
    records = json.loads(text)
    if not isinstance(records, list):
        raise ValueError(f"traces must be a list, got {type(records).__name__}")
    traces: dict[int, Trace] = {}
    try:
        for record in records:
            if "model_name" in record:
                traces[record["id"]] = Trace(
                    record["model_name"], int(record["model_version"]), record.get("request_id", "")
                )
            elif record["id"] in traces:
                _take(traces[record["id"]], record)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a trace cannot be read: {error!r}") from error
    return list(traces.values())


def _take(trace: Trace, record: dict[str, Any]) -> None:
    for stamp in record.get("timestamps", []):
        if stamp["name"] == "REQUEST_START":
            trace.started = int(stamp["ns"])
    activity = record.get("activity")
    if activity in (INPUT, OUTPUT):
        tensors = trace.inputs if activity == INPUT else trace.outputs
        tensors[record["tensor"]["name"]] = _tensor(record["tensor"])


def _tensor(fields: dict[str, str]) -> Tensor:
    shape = [int(size) for size in fields["shape"].split(",")]
    values = [float(value) for value in fields["data"].split(",") if value]
    return np.array(values, dtype=np.float64).reshape(shape)
