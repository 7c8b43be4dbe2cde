"""Runs a Python module in a virtual environment that is built from a locked requirements file.

    python3 run_step.py --requirements FILE --environments DIR --code DIR -- MODULE ARGUMENTS...

The environment is built once for each requirements file, Python version and machine type, and is shared by
all pods that mount the folder DIR. With `--environments -` the module runs on the current Python; this is for
images that contain the packages.

The program needs the standard library, lifecycle.names and `uv`. uv's own variables apply (UV_DEFAULT_INDEX,
UV_CONFIG_FILE …): https://docs.astral.sh/uv/reference/environment/
"""

import argparse
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from lifecycle.names import PERMANENT_ERROR, RETRYABLE_ERROR, Exit

PATIENCE = 30.0
"""Seconds that the packages may be out of reach: a pod is there a moment before its firewall opens."""
UNUSED = 7 * 24 * 3600.0
"""Seconds after its last use after which an environment is removed."""

INSTALL = ("--require-hashes", "--no-deps", "--only-binary", ":all:")


class NoEnvironment(Exception):
    """The environment cannot be built; `code` is the exit code, one of those in docs/lifecycle.md."""

    def __init__(self, end: Exit, why: str) -> None:
        """Make the log's last line, the word of `end` and the reason `why`, the message."""
        super().__init__(f"{end.word}: {why}")
        self.code = end.code


def main(arguments: Sequence[str], environ: Mapping[str, str], patience: float = PATIENCE) -> int:
    """Replace this process by the module; return an exit code if the environment cannot be built."""
    options = parser().parse_args(arguments)
    try:
        python = sys.executable
        if options.environments != "-":
            python = str(environment(options.requirements, Path(options.environments), environ, patience))
        become(python, options, environ)
    except NoEnvironment as ended:
        print(ended, flush=True)
        return ended.code


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="run_step.py")
    made.add_argument("--requirements", type=Path, required=True, help="requirements file with hashes")
    made.add_argument("--environments", required=True, help="folder of the environments, or - for none")
    made.add_argument("--code", type=Path, required=True, help="folder with the package")
    made.add_argument("command", nargs="+", metavar="MODULE ARGUMENTS", help="module that `python -m` runs")
    return made


def environment(requirements: Path, folder: Path, environ: Mapping[str, str], patience: float) -> Path:
    """Return the path of the environment's Python; build the environment if it is missing.

    The shared file lock stays open in the module that replaces this process, so that no other pod removes the
    environment while the module runs.

    Raises:
        NoEnvironment: The environment cannot be built.
    """
    # Group-writable files, because pods under other users of the same group use and remove environments.
    os.umask(0o002)
    try:
        lock = requirements.read_bytes()
        (folder / ".locks").mkdir(parents=True, exist_ok=True)
        key = hashlib.sha256(lock + f"{sys.version} {platform.machine()}".encode()).hexdigest()
        held = locked(folder, key)
        made = folder / key
        while not made.is_dir():
            fcntl.flock(held, fcntl.LOCK_EX)
            # Another pod may have built it while this one waited for the lock.
            if not made.is_dir():
                build(requirements, folder, made, environ, patience)
            fcntl.flock(held, fcntl.LOCK_SH)
        os.utime(made)
        remove_unused(folder)
    except OSError as error:
        raise NoEnvironment(PERMANENT_ERROR, f"the environment cannot be made: {error}") from error
    os.set_inheritable(held, True)
    return made / "bin" / "python"


def locked(folder: Path, key: str) -> int:
    """Return a file descriptor with a shared lock on the environment; wait while another pod builds it."""
    file = os.open(folder / ".locks" / key, os.O_RDWR | os.O_CREAT, 0o664)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        print("another pod is making the environment: waiting for it", flush=True)
        fcntl.flock(file, fcntl.LOCK_SH)
    return file


def build(requirements: Path, folder: Path, made: Path, environ: Mapping[str, str], patience: float) -> None:
    """Make the environment under another name, and rename it when it is whole."""
    uv = shutil.which("uv", path=environ.get("PATH"))
    if uv is None:
        raise NoEnvironment(
            PERMANENT_ERROR,
            "no uv on the PATH: take an image with uv, or a built one with --environments -",
        )
    began = time.monotonic()
    print(f"making the environment {made}", flush=True)
    partial = folder / f"{made.name}.partial"
    cache = folder / ".uv-cache" / made.name
    shutil.rmtree(partial, ignore_errors=True)
    own = {**environ, "UV_CACHE_DIR": str(cache), "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
    python = str(partial / "bin" / "python")
    commands = [
        [uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, str(partial)],
        # Not compiled here: most modules are never imported, and Python keeps what it compiles of the others.
        [uv, "pip", "install", "--quiet", "--python", python, *INSTALL, "-r", str(requirements)],
    ]
    try:
        for command in commands:
            while subprocess.run(command, env=own, check=False).returncode != 0:
                if time.monotonic() >= began + patience:
                    raise NoEnvironment(
                        RETRYABLE_ERROR,
                        f"the packages of {requirements} cannot be had; uv says why above",
                    )
                time.sleep(1)
        partial.rename(made)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(cache, ignore_errors=True)
    print(f"made the environment in {time.monotonic() - began:.0f} s", flush=True)


def remove_unused(folder: Path) -> None:
    """Remove environments and remains of builds that are not in use and were last used a week ago."""
    for each in folder.iterdir():
        # FileNotFoundError: another pod removed it at the same time. BlockingIOError: it is in use.
        with suppress(FileNotFoundError, BlockingIOError):
            remove_if_unused(each)


def remove_if_unused(made: Path) -> None:
    """Remove an environment if it was last used a week ago and is not in use.

    Raises:
        FileNotFoundError: Another pod removed it at the same time.
        BlockingIOError: It is in use.
    """
    key = made.name.removesuffix(".partial")
    if made.name.startswith(".") or time.time() - made.stat().st_mtime < UNUSED:
        return
    with (made.parent / ".locks" / key).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Rename it first, because a half-deleted folder under the final name would be taken for complete.
        gone = made.parent / f"{key}.partial"
        made.rename(gone)
        shutil.rmtree(gone)
        print(f"removed the environment {key}: unused for a week", flush=True)


def become(python: str, options: argparse.Namespace, environ: Mapping[str, str]) -> NoReturn:
    """Replace this process by `python -m MODULE`, which then gets the signals and sets the exit code."""
    path = os.pathsep.join(filter(None, [str(options.code), environ.get("PYTHONPATH", "")]))
    sys.stdout.flush()
    os.execve(python, [python, "-m", *options.command], {**environ, "PYTHONPATH": path})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
