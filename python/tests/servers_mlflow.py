"""Fixtures: a running MLflow server, and small pipelines whose steps use it.

This is a pytest plugin; a test module loads it with `pytest_plugins = ("servers_mlflow",)`.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lifecycle.store import Store
from processes import Process, answers, free_port
from small_pipeline import Pipeline
from small_triton import serving_triton


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running MLflow with its own database; its artifacts are in the bucket `mlflow`."""
    folder = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--no-serve-artifacts"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--default-artifact-root", "s3://mlflow/artifacts"]
    environ = os.environ | {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    server = Process(command, folder / "log", environ)
    address = f"http://127.0.0.1:{port}"
    server.start()
    try:
        server.wait_until(lambda: answers(f"{address}/health"))
        yield address
    finally:
        server.stop()


@pytest.fixture
def pipelines(
    mlflow_server: str, object_store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Pipeline]]:
    """Makes pipelines with unique names; keywords change their specs, as in `serving__shadow=True`."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    # Tracking sets these variables for the process; monkeypatch restores them after the test.
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
