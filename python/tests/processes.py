"""Servers as processes: free ports, waiting until they are ready, killing and starting them again."""

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
# Much longer than any wait takes on a busy machine; only what never happens fails.
SECONDS = 120.0
# Below Linux's ports of outgoing connections (from 32768) and Kubernetes' node ports (from 30000). Each of
# pytest's workers uses a part.
PORTS = range(20000, 30000)
PORTS_OF_A_WORKER = 2500


def _ports() -> Iterator[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = worker * PORTS_OF_A_WORKER % len(PORTS)
    own = PORTS[first : first + PORTS_OF_A_WORKER]
    # Begin at a place that depends on the process id, so that two test runs on one machine rarely collide.
    start = os.getpid() % len(own)
    return itertools.chain(own[start:], own[:start])


_PORTS = _ports()


def copied_programs(folder: Path, *programs: str) -> Path:
    """Copy these programs and lifecycle.names into a folder, as ConfigMaps bring them into a pod."""
    (folder / "lifecycle").mkdir(parents=True)
    files = ("lifecycle/__init__.py", "lifecycle/names.py", "lifecycle/names.json")
    for source in [*files, *(f"programs/{name}" for name in programs)]:
        shutil.copy(HERE.parent / source, folder / source.removeprefix("programs/"))
    return folder


def free_port() -> int:
    """Return a port that nothing listens on and that this run has not returned before."""
    for port in _PORTS:
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError(f"this worker has used all of its {PORTS_OF_A_WORKER} ports")


def wait_until(true: Callable[[], object], seconds: float = SECONDS, what: str = "it") -> None:
    """Wait until `true` returns a true value; OSError, KeyError and Triton's errors count as not yet.

    Raises:
        AssertionError: It does not happen within `seconds`; the message begins with `what`.
    """
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
    """Return whether a GET of this address answers 200."""
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
        """Wait until `ready` returns a true value.

        Raises:
            AssertionError: The process ended, or is not ready in time; the message has its log.
        """

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
def running_object_store(folder: Path) -> Iterator[tuple[Process, str]]:
    """Run a MinIO with its data in this folder; yield its process and its address.

    Its root user is `tests` with the password `test-password`.
    """
    port = free_port()
    environ = {
        **os.environ,
        "MINIO_ROOT_USER": "tests",
        "MINIO_ROOT_PASSWORD": "test-password",
        # The console would take another port, which may be one that `free_port` returns later.
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
    """Return whether MinIO accepts requests; /minio/health/ready answers 200 a moment too early."""
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
    """Return the path of MinIO's program."""
    found = os.environ.get("MINIO") or shutil.which("minio")
    assert found, (
        "there is no MinIO: name its program in $MINIO, or start the tests by scripts/test-python.sh"
    )
    return found
