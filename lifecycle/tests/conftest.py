"""A little API server and a Postgres, each started for the tests alone."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from kubernetes_api import Call, api_server
from small_api_server import SmallApiServer, serving


@pytest.fixture
def server() -> Iterator[SmallApiServer]:
    with serving(SmallApiServer()) as started:
        yield started


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """The folder that the kubelet mounts into a pod."""
    (tmp_path / "token").write_text("first-token")
    return tmp_path


@pytest.fixture
def call(server: SmallApiServer, account: Path) -> Call:
    return api_server(account, server.address)


@pytest.fixture(scope="session")
def postgres_folder() -> Iterator[Path]:
    """A running Postgres that listens in this folder and nowhere else."""
    # Postgres refuses to run as root; it then runs as whoever owns its folder.
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
            wait_for(folder, running)
            yield folder
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(60)
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def database(postgres_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables by which libpq finds that Postgres."""
    monkeypatch.setenv("PGHOST", str(postgres_folder))
    monkeypatch.setenv("PGUSER", "tests")
    monkeypatch.setenv("PGDATABASE", "postgres")


def postgres_program(name: str) -> str:
    """Where this program is: Debian keeps it off the path."""
    debian = sorted(str(folder) for folder in Path("/usr/lib/postgresql").glob("*/bin"))
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *debian]))
    assert found, f"there is no {name}: install Postgres, or start the tests by scripts/test-python.sh"
    return found


def wait_for(folder: Path, running: subprocess.Popen[bytes]) -> None:
    """Wait until this Postgres answers, a minute at most."""
    end = time.monotonic() + 60
    while True:
        try:
            psycopg2.connect(host=str(folder), user="tests", dbname="postgres").close()
        except psycopg2.OperationalError:
            log = (folder / "postgres.log").read_text()
            assert running.poll() is None, log
            assert time.monotonic() < end, log
            time.sleep(0.05)
        else:
            return
