"""Fixtures: servers for the tests only (a small API server, Postgres, an object store, a file server)."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import psycopg2
import pytest
from botocore.config import Config
from xdist.remote import Producer
from xdist.scheduler.loadscope import LoadScopeScheduling

from file_server import FileServer, serving_files
from kubernetes_api import Call, api_server
from processes import running_object_store, wait_until
from small_api_server import SmallApiServer, serving


def pytest_report_header() -> str:
    """Print which backend Triton uses; scripts/cluster/README.md describes both."""
    backend = os.environ.get("ONNXRUNTIME_BACKEND") or "the stand-in in Python"
    return f"Triton's ONNX Runtime backend: {backend}"


SLOWEST = "test_sidecar.py"
"""The module that begins beside those with MLflow: if it began last, it would run alone."""


class ModuleScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each module to one worker, and all modules with MLflow to one, so that its server starts once.

    The distribution `loadgroup` of pytest-xdist 3.8 does nothing with pytest 9, because it writes the group
    into an attribute that pytest no longer reads.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group(self.config.rootpath / nodeid.partition("::")[0])


@cache
def group(module: Path) -> str:
    """Return the group whose tests run on one worker, given the path of a module."""
    return "mlflow" if "servers_mlflow" in module.read_text() else module.name


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ModuleScheduling:
    """Distribute the tests by ModuleScheduling; `--no-loadscope-reorder` keeps their order."""
    return ModuleScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests, the group that takes longest first."""
    items.sort(key=lambda item: (group(item.path) != "mlflow", item.path.name != SLOWEST))


@pytest.fixture(scope="session", autouse=True)
def botocore_loader() -> Iterator[None]:
    """Share botocore's loader among all clients, so that megabytes of service descriptions are read once."""
    loader = botocore.session.create_loader()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(botocore.session, "create_loader", lambda *_: loader)
        yield


@pytest.fixture
def server() -> Iterator[SmallApiServer]:
    with serving(SmallApiServer()) as started:
        yield started


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """The folder of the service account that the kubelet mounts into a pod."""
    (tmp_path / "token").write_text("first-token")
    return tmp_path


@pytest.fixture
def call(server: SmallApiServer, account: Path) -> Call:
    return api_server(account, server.address)


@pytest.fixture(scope="session")
def postgres_folder() -> Iterator[Path]:
    """The folder with the socket of a running Postgres; it listens on no port."""
    # Postgres refuses to run as root, so it runs as `nobody`, who owns the folder.
    user = "nobody" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    if user is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)

    def command(program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (folder / f"{program}.log").open("wb") as log:
            return subprocess.Popen(
                [postgres_program(program), "-D", f"{folder}/data", *arguments],
                user=user,
                cwd=folder,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    try:
        initdb = command("initdb", "--username=tests", "--auth=trust", "--encoding=UTF8", "--no-sync")
        assert initdb.wait(120) == 0, (folder / "initdb.log").read_text()
        running = command("postgres", "-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off")
        try:
            wait_until(lambda: postgres_answers(folder, running), what="Postgres")
            yield folder
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(60)
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def database(postgres_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set libpq's variables to that Postgres."""
    monkeypatch.setenv("PGHOST", str(postgres_folder))
    monkeypatch.setenv("PGUSER", "tests")
    monkeypatch.setenv("PGDATABASE", "postgres")


@pytest.fixture(scope="session")
def object_store_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running object store; its root user is `tests` with the password `test-password`."""
    with running_object_store(tmp_path_factory.mktemp("object-store")) as (_, address):
        yield address


@pytest.fixture
def object_store(object_store_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of that store with empty buckets `data` and `models`; sets the variables that steps read."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", object_store_address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-password")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.session.Session().client("s3", config=Config(s3={"addressing_style": "path"}))
    for bucket in ("data", "models"):
        client.create_bucket(Bucket=bucket)
    try:
        yield client
    finally:
        for bucket in ("data", "models"):
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for each in page.get("Contents", []):
                    client.delete_object(Bucket=bucket, Key=each["Key"])
            client.delete_bucket(Bucket=bucket)
        client.close()


@pytest.fixture
def file_server() -> Iterator[FileServer]:
    """A file server whose answers can be faulty."""
    with serving_files() as started:
        yield started


def postgres_program(name: str) -> str:
    """Return the path of a program of Postgres; Debian does not put them on the PATH."""
    debian = sorted(str(folder) for folder in Path("/usr/lib/postgresql").glob("*/bin"))
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *debian]))
    assert found, f"there is no {name}: install Postgres, or start the tests by scripts/test-python.sh"
    return found


def postgres_answers(folder: Path, running: subprocess.Popen[bytes]) -> bool:
    """Return whether this Postgres accepts connections; fail with its log if the process has ended."""
    assert running.poll() is None, (folder / "postgres.log").read_text()
    try:
        psycopg2.connect(host=str(folder), user="tests", dbname="postgres").close()
    except psycopg2.OperationalError:
        return False
    return True
