"""A real Triton, a real object store and the sidecar between them, as processes, and models to serve."""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from lifecycle import baseline, model_repository
from lifecycle.model_repository import Pointer
from lifecycle.store import Store
from processes import HERE, SECONDS, Process, answers, free_port, running_object_store

KEY = "tests-key"
FEATURES = ("distance", "hour", "passengers")
RESTRICTED = "model-repository,shared-memory,statistics,trace,logging,model-config"


@contextmanager
def object_store_process(folder: Path) -> Iterator[Process]:
    """A running object store with the buckets `models` and `data`; the AWS_* variables name it meanwhile."""
    before = dict(os.environ)
    with running_object_store(folder) as (server, address):
        os.environ.update(
            AWS_ACCESS_KEY_ID="tests",
            AWS_SECRET_ACCESS_KEY="test-password",
            AWS_ENDPOINT_URL_S3=address,
            AWS_DEFAULT_REGION="us-east-1",
        )
        try:
            client = boto3.client("s3")
            for bucket in ("models", "data"):
                client.create_bucket(Bucket=bucket)
            client.close()
            yield server
        finally:
            os.environ.clear()
            os.environ.update(before)


class Triton(Process):
    """A tritonserver with the arguments that its pod has."""

    def __init__(self, folder: Path) -> None:
        self.http, self.grpc, self.metrics = free_port(), free_port(), free_port()
        self.models, self.traces = folder / "models", folder / "traces"
        self.models.mkdir(exist_ok=True)
        self.traces.mkdir(exist_ok=True)
        native = subprocess.run(
            [HERE.parent.parent / "scripts/cluster/native-triton.sh"],
            check=True,
            capture_output=True,
            text=True,
        )
        command = [
            f"{native.stdout.strip()}/tritonserver",
            f"--model-repository={self.models}",
            "--model-control-mode=explicit",
            "--exit-on-error=false",
            "--strict-readiness=false",
            "--exit-timeout-secs=5",
            *(f"--{name}-port={getattr(self, name)}" for name in ("http", "grpc", "metrics")),
            *(f"--{name}-address=127.0.0.1" for name in ("http", "grpc", "metrics")),
            f"--grpc-restricted-protocol={RESTRICTED}:admin-key={KEY}",
            f"--http-restricted-api={RESTRICTED}:admin-key={KEY}",
            "--trace-config=mode=triton",
            f"--trace-config=triton,file={self.traces}/trace.json",
        ]
        super().__init__(command, folder / "triton.log", os.environ)

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.grpc}"

    def live(self) -> bool:
        return answers(f"http://127.0.0.1:{self.http}/v2/health/live")


class SidecarProcess(Process):
    """The sidecar as a process, as in its pod."""

    def __init__(self, folder: Path, triton: Triton, **environ: str) -> None:
        self.port = free_port()
        settings = sidecar_environ(triton, self.port)
        super().__init__(
            [sys.executable, "-m", "lifecycle.sidecar"],
            folder / "sidecar.log",
            {**os.environ, **settings, **environ},
        )


def sidecar_environ(triton: Triton, port: int) -> dict[str, str]:
    return {
        "MODELS_BUCKET": "models",
        "DATA_BUCKET": "data",
        "MODEL_REPOSITORY": str(triton.models),
        "TRACE_DIR": str(triton.traces),
        "TRITON_GRPC_URL": triton.url,
        "TRITON_ADMIN_KEY": KEY,
        "REPLICA": "replica-0",
        "PORT": str(port),
    }


class Page:
    """Reads a sidecar's HTTP pages."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def model(self, pipeline: str = "trip") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.get("/status")[1])["models"][pipeline]
        return found

    def serves(self, version: int | None) -> bool:
        return bool(self.model()["serving"] == version)

    def metrics(self) -> dict[str, float]:
        """The values of /metrics by the text of their names and labels."""
        lines = [line for line in self.get("/metrics")[1].splitlines() if not line.startswith("#")]
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}

    def value(self, start: str) -> float:
        """The only value whose name and labels begin with `start`."""
        found = [value for name, value in self.metrics().items() if name.startswith(start)]
        assert len(found) < 2, (start, found)
        if not found:
            raise KeyError(start)
        return found[0]


def model_bytes(factor: float, inputs: int = 3, output: str = "prediction", pad: int = 0) -> bytes:
    """An ONNX model that predicts the sum of its inputs, times `factor`; `pad` floats make it larger."""
    weights = numpy_helper.from_array(np.full((inputs, 1), factor, dtype=np.float32), "weights")
    ballast = [numpy_helper.from_array(np.arange(pad, dtype=np.float32), "ballast")] if pad else []
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["features", "weights"], [output])],
        "model",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, inputs])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None, 1])],
        [weights, *ballast],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def training_rows(rows: int = 2000) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Rows x 3 features, float32: a skewed one, whole hours, and one that is 1 in nine of ten rows."""
    random = np.random.default_rng(7)
    return np.column_stack(
        [
            random.gamma(2, 3, rows),
            random.integers(0, 24, rows),
            random.choice([1, 2, 5], rows, p=[0.9, 0.08, 0.02]),
        ]
    ).astype(np.float32)


def version_files(factor: float, **config: Any) -> dict[str, bytes]:
    """The files of a version whose model predicts the sum of the features, times `factor`."""
    rows = training_rows()
    answers = rows.sum(axis=1, keepdims=True) * np.float32(factor)
    columns = dict(zip(FEATURES, rows.T, strict=True))
    contents = {
        "baseline.json": baseline.build(columns, "duration", answers),
        "golden.json": {"inputs": rows[:20].tolist(), "outputs": answers[:20].tolist(), "tolerance": 1e-4},
        "config.json": {
            "input": "features",
            "inputs": 3,
            "output": "prediction",
            "outputs": 1,
            "maxBatchSize": 16,
            "maxQueueDelayMicroseconds": 200,
            "instances": 1,
            "gpus": 0,
            **config,
        },
    }
    files = {name: json.dumps(content).encode() for name, content in contents.items()}
    return {"model.onnx": model_bytes(factor), **files}


def publish(version: int, files: Mapping[str, bytes] | None = None, pipeline: str = "trip") -> None:
    """Write a version to the model repository; without `files` its model's factor is its number."""
    model_repository.write_version(
        store(pipeline), version, files or version_files(version), {"model": pipeline}
    )


def point(version: int | None, previous: int | None = None, shadow: int | None = None) -> None:
    model_repository.write_pointer(store(), Pointer(version, previous, shadow, time.time(), "tests"))


def store(pipeline: str = "trip", bucket: str = "models") -> Store:
    return Store(bucket, f"{pipeline}/")


class Client:
    """A client that sends inference requests over gRPC."""

    def __init__(self, triton: Triton) -> None:
        self._client = InferenceServerClient(triton.url)

    def ask(self, rows: Any, request_id: str = "", model: str = "trip") -> Any:
        given = np.asarray(rows, dtype=np.float32)
        tensor = InferInput("features", list(given.shape), "FP32")
        tensor.set_data_from_numpy(given)
        answer = self._client.infer(model, [tensor], request_id=request_id, client_timeout=SECONDS)
        return answer.as_numpy("prediction")

    def factor(self) -> float:
        """The factor of the model that serves."""
        return float(self.ask([[1, 0, 0]])[0, 0])

    def close(self) -> None:
        self._client.close()


class Traffic:
    """Threads that send requests continuously and record failures, wrong answers and durations."""

    def __init__(self, triton: Triton, clients: int, factors: set[float], pause: float = 0) -> None:
        self.failed: list[str] = []
        self.wrong: list[float] = []
        self.seconds: list[float] = []
        self._triton, self._factors, self._pause = triton, factors, pause
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(clients)]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(SECONDS)

    def _work(self) -> None:
        client = Client(self._triton)
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                factor = client.factor()
            except InferenceServerException as error:
                self.failed.append(str(error))
            else:
                self.seconds.append(time.monotonic() - began)
                if factor not in self._factors:
                    self.wrong.append(factor)
            self._stop.wait(self._pause)
        client.close()
