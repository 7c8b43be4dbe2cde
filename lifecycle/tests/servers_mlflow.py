"""A running MLflow, and small pipelines whose steps use it.

A plugin: a module of tests says `pytest_plugins = ("servers_mlflow",)`.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lifecycle.store import Store
from small_pipeline import Pipeline
from small_triton import serving_triton


@pytest.fixture(scope="session")
def mlflow_server() -> Iterator[str]:
    """The address of a running MLflow with a database of its own; artifacts go to the bucket `mlflow`."""
    folder = Path(tempfile.mkdtemp(prefix="mlflow-"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--workers",
        "1",
        "--no-serve-artifacts",
    ]
    command += ["--default-artifact-root", "s3://mlflow/artifacts"]
    environ = os.environ | {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                assert running.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < end, (folder / "log").read_text()
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        running.terminate()
        running.wait(60)
        shutil.rmtree(folder)


@pytest.fixture
def pipelines(
    mlflow_server: str, object_store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Pipeline]]:
    """Makes pipelines, each with a name of its own and a Triton that stands in."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    # What Tracking sets for its process must not outlive a test.
    for name in ("MAX_RETRIES", "TIMEOUT"):
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", "3" if name == "MAX_RETRIES" else "60")
    existing = [each["Name"] for each in object_store.list_buckets()["Buckets"]]
    if "mlflow" not in existing:
        object_store.create_bucket(Bucket="mlflow")
    with serving_triton() as triton:

        def make(**changes: Any) -> Pipeline:
            name = f"trip-{os.urandom(4).hex()}"
            environ = {
                "TRITON_REPLICAS": f"127.0.0.1:{triton.port}",
                "TRITON_HTTP_URL": f"127.0.0.1:{triton.port}",
                "DEPLOY_SECONDS": "5",
            }
            triton.watch(name, Store("models", f"{name}/"))
            return Pipeline(
                name, tmp_path, triton, {k.replace("__", "."): v for k, v in changes.items()}, environ
            )

        yield make


@pytest.fixture
def pipeline(pipelines: Callable[..., Pipeline]) -> Pipeline:
    return pipelines()
