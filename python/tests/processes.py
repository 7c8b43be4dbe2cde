"""Servers as processes of their own: their ports, waiting for them, killing and starting them again."""

import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from tritonclient.utils import InferenceServerException

HERE = Path(__file__).resolve().parent
# Much longer than anything takes: only what never comes is to fail.
SECONDS = 120.0
# Below the ports from which Linux takes those of outgoing connections, 32768 and up, and Kubernetes
# those of its nodes, 30000 and up: some thousand for each of pytest's workers.
PORTS = range(20000, 30000)
PORTS_OF_A_WORKER = 2500


def _ports() -> Iterator[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = worker * PORTS_OF_A_WORKER % len(PORTS)
    own = PORTS[first : first + PORTS_OF_A_WORKER]
    # Another run on this machine is likely to begin elsewhere.
    start = os.getpid() % len(own)
    return itertools.chain(own[start:], own[:start])


_PORTS = _ports()


def laid_down(folder: Path, *programs: str) -> Path:
    """The folder with these programs and the shared names, as a ConfigMap brings them into a pod."""
    (folder / "lifecycle").mkdir(parents=True)
    files = ("lifecycle/__init__.py", "lifecycle/names.py", "lifecycle/names.json")
    for source in [*files, *(f"programs/{name}" for name in programs)]:
        shutil.copy(HERE.parent / source, folder / source.removeprefix("programs/"))
    return folder


def free_port() -> int:
    """A port that nothing listens on, and that nobody else in this run is given."""
    for port in _PORTS:
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError(f"this worker has used all of its {PORTS_OF_A_WORKER} ports")


def wait_until(true: Callable[[], object], seconds: float = SECONDS, what: str = "it") -> None:
    """Wait until `true` returns something true; what it raises counts as not yet."""
    end = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < end:
        try:
            last = true()
        except (OSError, InferenceServerException, KeyError) as error:
            last = error
        else:
            if last:
                return
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come true within {seconds} s: {last!r}")


def answers(address: str) -> bool:
    """Whether a GET of this address succeeds."""
    with urllib.request.urlopen(address, timeout=5) as answer:
        return bool(answer.status == 200)


class Process:
    """A server that can be killed and started again on the same ports."""

    def __init__(self, command: list[str], log: Path, environ: Mapping[str, str]) -> None:
        self.command = command
        self.log = log
        self.environ = environ
        self.running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                self.command, stdout=log, stderr=subprocess.STDOUT, env=dict(self.environ), cwd=HERE.parent
            )

    def wait_until(self, ready: Callable[[], object]) -> None:
        """Wait until it is ready; one that ends instead fails at once, and says what it wrote."""

        def ready_or_ended() -> object:
            assert self.running is not None
            assert self.running.poll() is None, f"{self.command[0]} ended: {self.log.read_text()}"
            return ready()

        try:
            wait_until(ready_or_ended, what=self.command[0])
        except AssertionError as error:
            error.add_note(self.log.read_text())
            raise

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def signal(self, number: int) -> int:
        assert self.running is not None
        self.running.send_signal(number)
        return self.running.wait(SECONDS)

    def stop(self) -> None:
        if self.running is not None and self.running.poll() is None:
            self.signal(signal.SIGTERM)


@contextmanager
def running_minio(folder: Path) -> Iterator[tuple[Process, str]]:
    """A MinIO that keeps its data in this folder, and its address.

    Its root user is `tests`, with the password `test-password`.
    """
    port = free_port()
    environ = {
        **os.environ,
        "MINIO_ROOT_USER": "tests",
        "MINIO_ROOT_PASSWORD": "test-password",
        # Its console would take another port, whichever was free at the moment.
        "MINIO_BROWSER": "off",
    }
    command = [
        minio_program(),
        "server",
        "--quiet",
        "--address",
        f"127.0.0.1:{port}",
        str(folder / "minio"),
    ]
    server = Process(command, folder / "minio.log", environ)
    address = f"http://127.0.0.1:{port}"
    server.start()
    try:
        server.wait_until(lambda: lets_in(address))
        yield server, address
    finally:
        server.stop()


def lets_in(address: str) -> bool:
    """Whether MinIO takes requests. Its own word, /minio/health/ready, comes a moment before it does."""
    client = boto3.client(
        "s3",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="tests",
        aws_secret_access_key="test-password",
        config=Config(retries={"total_max_attempts": 1}),
    )
    try:
        client.list_buckets()
    except (BotoCoreError, ClientError):
        return False
    finally:
        client.close()
    return True


def minio_program() -> str:
    """Where MinIO's program is."""
    found = os.environ.get("MINIO") or shutil.which("minio")
    assert found, (
        "there is no MinIO: name its program in $MINIO, or start the tests by scripts/test-python.sh"
    )
    return found
