"""Starts a Python program of this folder in an environment made of a locked requirements file.

    python3 run_step.py --requirements FILE --environments DIR --code DIR -- MODULE ARGUMENTS...

The environment is made once for each lock, Python and machine, and found again
by every pod that shares the folder DIR. Where DIR is `-`, the Python that this
runs on has everything already: a built image.

It needs nothing but Python, the package's names and `uv`, whose own variables hold as well
(UV_DEFAULT_INDEX, UV_CONFIG_FILE …).
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
"""Seconds after which an environment that nothing has started in is removed."""


INSTALL = ("--require-hashes", "--no-deps", "--only-binary", ":all:")


class NoEnvironment(Exception):
    """There is no environment; `code` is the exit code that docs/lifecycle.md gives such an end."""

    def __init__(self, end: Exit, why: str) -> None:
        """`why` is the last line of the log, behind the end's word."""
        super().__init__(f"{end.word}: {why}")
        self.code = end.code


def main(arguments: Sequence[str], environ: Mapping[str, str], patience: float = PATIENCE) -> int:
    """Become the program; return an exit code where that cannot be."""
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
    """The arguments."""
    made = argparse.ArgumentParser(prog="run_step.py")
    made.add_argument("--requirements", type=Path, required=True, help="locked, with hashes")
    made.add_argument("--environments", required=True, help="folder that keeps environments, or - for none")
    made.add_argument("--code", type=Path, required=True, help="folder with the package")
    made.add_argument("command", nargs="+", metavar="MODULE ARGUMENTS", help="what `python -m` runs")
    return made


def environment(requirements: Path, folder: Path, environ: Mapping[str, str], patience: float) -> Path:
    """Return the Python of the environment, which is made where it is missing.

    A shared lock on it goes on into the program, so that nobody removes it meanwhile.

    Raises:
        NoEnvironment: It cannot be made.
    """
    # Pods under other users of the same group may use and remove it.
    os.umask(0o002)
    try:
        lock = requirements.read_bytes()
        (folder / ".locks").mkdir(parents=True, exist_ok=True)
        key = hashlib.sha256(lock + f"{sys.version} {platform.machine()}".encode()).hexdigest()
        held = locked(folder, key)
        made = folder / key
        while not made.is_dir():
            fcntl.flock(held, fcntl.LOCK_EX)
            # Who had the lock before may have made it.
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
    """Return a file that is locked together with others who only use the environment."""
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
    """Remove environments in which nothing runs and nothing has started for a week, and what builds left."""
    for each in folder.iterdir():
        # Another pod may tidy up at the same moment: what it took away, or uses, is left to it.
        with suppress(FileNotFoundError, BlockingIOError):
            remove_if_unused(each)


def remove_if_unused(made: Path) -> None:
    """Remove this environment where it is as old and as unused as that."""
    key = made.name.removesuffix(".partial")
    if made.name.startswith(".") or time.time() - made.stat().st_mtime < UNUSED:
        return
    with (made.parent / ".locks" / key).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Under its own name it would look whole until the last file is gone.
        gone = made.parent / f"{key}.partial"
        made.rename(gone)
        shutil.rmtree(gone)
        print(f"removed the environment {key}: unused for a week", flush=True)


def become(python: str, options: argparse.Namespace, environ: Mapping[str, str]) -> NoReturn:
    """Let the program take this process's place: signals and the exit code are then its own."""
    path = os.pathsep.join(filter(None, [str(options.code), environ.get("PYTHONPATH", "")]))
    sys.stdout.flush()
    os.execve(python, [python, "-m", *options.command], {**environ, "PYTHONPATH": path})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
