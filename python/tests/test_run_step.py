import base64
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

import run_step
from processes import HERE, copied_programs

OLD = time.time() - run_step.UNUSED - 60


class Ground:
    """A wheel, its requirements file, a package that imports it, and a folder for environments."""

    def __init__(self, folder: Path, uv: str) -> None:
        self.folder = folder
        self.environments = folder / "environments"
        self.requirements = folder / "requirements.txt"
        self.wheels = folder / "wheels"
        self.launcher = copied_programs(folder / "launcher", "run_step.py")
        (folder / "bin").mkdir()
        (folder / "bin" / "uv").symlink_to(uv)
        self.wheels.mkdir()
        self.lock(wheel(self.wheels, "1.0"))
        (folder / "code" / "saying").mkdir(parents=True)
        (folder / "code" / "saying" / "__init__.py").touch()
        (folder / "code" / "saying" / "__main__.py").write_text(
            "import sys, greeting\nprint(greeting.VERSION, *sys.argv[1:])\nsys.exit(int(sys.argv[1]))\n"
        )
        (folder / "code" / "waiting.py").write_text("import time\nprint('up', flush=True)\ntime.sleep(60)\n")
        (folder / "uv.toml").write_text(f'no-index = true\nfind-links = ["{self.wheels}"]\n')
        self.environ = {
            "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
            "HOME": str(folder / "home"),
            "UV_CONFIG_FILE": str(folder / "uv.toml"),
        }

    def lock(self, built: Path) -> None:
        version = built.name.split("-")[1]
        digest = hashlib.sha256(built.read_bytes()).hexdigest()
        self.requirements.write_text(f"greeting=={version} --hash=sha256:{digest}\n")

    def command(self, *program: str, environments: str = "") -> list[str]:
        return [
            *(sys.executable, str(self.launcher / "run_step.py"), "--requirements", str(self.requirements)),
            *("--environments", environments or str(self.environments), "--code", str(self.folder / "code")),
            *("--", *program),
        ]

    def start(self, *program: str) -> subprocess.Popen[str]:
        return subprocess.Popen(self.command(*program), env=self.environ, stdout=subprocess.PIPE, text=True)

    def run(self, *program: str, environments: str = "") -> tuple[int, list[str]]:
        command = self.command(*program, environments=environments)
        ended = subprocess.run(command, env=self.environ, stdout=subprocess.PIPE, text=True, check=False)
        return ended.returncode, ended.stdout.splitlines()

    def made(self) -> list[Path]:
        return sorted(each for each in self.environments.iterdir() if not each.name.startswith("."))


def wheel(folder: Path, version: str) -> Path:
    """Build a wheel of the package `greeting`, whose module has its VERSION."""
    about = f"greeting-{version}.dist-info"
    files = {
        "greeting.py": f"VERSION = '{version}'\n",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: greeting\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{about}/RECORD"
    lines = [f"{name},sha256={encoded(text)},{len(text)}" for name, text in files.items()]
    path = folder / f"greeting-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in (files | {record: "\n".join([*lines, f"{record},,"]) + "\n"}).items():
            archive.writestr(name, text)
    return path


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    uv = os.environ.get("UV") or shutil.which("uv")
    assert uv, "there is no uv: name it in $UV, or start the tests by scripts/test-python.sh"
    return Ground(tmp_path, uv)


def test_a_program_runs_in_the_environment_of_its_lock_and_ends_as_it_ends(ground: Ground) -> None:
    code, lines = ground.run("saying", "7", "--pipeline", "trips")
    assert (code, lines[-1]) == (7, "1.0 7 --pipeline trips")
    assert lines[0].startswith("making the environment")


def test_an_environment_is_made_once_and_uvs_cache_does_not_stay(ground: Ground) -> None:
    ground.run("saying", "0")
    code, lines = ground.run("saying", "0")
    assert (code, lines) == (0, ["1.0 0"])
    assert len(ground.made()) == 1
    assert list((ground.environments / ".uv-cache").iterdir()) == []


def test_another_lock_has_an_environment_of_its_own(ground: Ground) -> None:
    ground.run("saying", "0")
    ground.lock(wheel(ground.wheels, "2.0"))
    assert ground.run("saying", "0")[1][-1] == "2.0 0"
    assert len(ground.made()) == 2


def test_pods_that_start_at_once_make_it_once(ground: Ground) -> None:
    started = [ground.start("saying", "0") for _ in range(5)]
    logs = [each.communicate(timeout=120)[0].splitlines() for each in started]
    assert [(each.returncode, log[-1]) for each, log in zip(started, logs, strict=True)] == [(0, "1.0 0")] * 5
    assert sum(line.startswith("making the environment") for log in logs for line in log) == 1
    assert len(ground.made()) == 1


def test_what_a_killed_build_left_is_never_used(ground: Ground) -> None:
    ground.run("saying", "0")
    (whole,) = ground.made()
    whole.rename(whole.with_name(f"{whole.name}.partial"))
    shutil.rmtree(whole.with_name(f"{whole.name}.partial") / "lib")
    code, lines = ground.run("saying", "0")
    assert (code, lines[-1]) == (0, "1.0 0")
    assert ground.made() == [whole]


def test_a_builder_that_is_killed_lets_the_next_one_build(ground: Ground) -> None:
    uv = ground.folder / "bin" / "uv"
    real = uv.readlink()
    uv.unlink()
    uv.write_text("#!/bin/sh\necho hanging\nexec sleep 60\n")
    uv.chmod(0o755)
    hanging = subprocess.Popen(
        ground.command("saying", "0"), env=ground.environ, stdout=subprocess.PIPE, text=True, process_group=0
    )
    assert hanging.stdout is not None
    while "hanging" not in hanging.stdout.readline():
        assert hanging.poll() is None
    os.killpg(hanging.pid, signal.SIGKILL)
    hanging.communicate()
    uv.unlink()
    uv.symlink_to(real)
    assert ground.run("saying", "0")[1][-1] == "1.0 0"


@pytest.mark.parametrize("missing", ["package", "hash"])
def test_packages_that_cannot_be_installed_are_a_retryable_error(
    ground: Ground, capfd: pytest.CaptureFixture[str], missing: str
) -> None:
    if missing == "package":
        shutil.rmtree(ground.wheels)
        ground.wheels.mkdir()
    else:
        ground.requirements.write_text(f"greeting==1.0 --hash=sha256:{'0' * 64}\n")
    arguments = ground.command("saying", "0")[2:]
    assert run_step.main(arguments, ground.environ, patience=1.5) == 75
    out, err = capfd.readouterr()
    assert out.splitlines()[-1].startswith("later: the packages of ")
    # uv was tried more than once, because a pod's network rules may open a moment after its start.
    assert err.count("greeting") >= 2
    assert ground.made() == []


def test_without_uv_nothing_can_be_made(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    (ground.folder / "bin" / "uv").unlink()
    assert run_step.main(ground.command("saying", "0")[2:], ground.environ) == 65
    assert capsys.readouterr().out.startswith("stopped: no uv on the PATH")


def test_a_lock_that_is_not_there_stops(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    ground.requirements.unlink()
    assert run_step.main(ground.command("saying", "0")[2:], ground.environ) == 65
    output = capsys.readouterr().out
    assert output.startswith("stopped: the environment cannot be made: ")
    assert "requirements.txt" in output


def test_the_program_finds_its_code_before_what_was_on_the_path(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *arguments: became.extend(arguments))
    environ = ground.environ | {"PYTHONPATH": "/elsewhere"}
    run_step.main(ground.command("saying", "0")[2:], environ)
    (made,) = ground.made()
    python = str(made / "bin" / "python")
    path = f"{ground.folder / 'code'}:/elsewhere"
    assert became == [python, [python, "-m", "saying", "0"], environ | {"PYTHONPATH": path}]


def test_the_second_pod_prints_that_it_waits(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    (ground.environments / ".locks").mkdir(parents=True)
    building = run_step.locked(ground.environments, "key")
    fcntl.flock(building, fcntl.LOCK_EX)
    threading.Timer(0.5, os.close, [building]).start()
    os.close(run_step.locked(ground.environments, "key"))
    assert "another pod is making the environment: waiting for it" in capsys.readouterr().out


def test_only_what_is_old_and_not_in_use_is_removed(ground: Ground) -> None:
    for name in ("new", "old", "used", "left.partial", ".locks", ".uv-cache"):
        (ground.environments / name).mkdir(parents=True)
        if name != "new":
            os.utime(ground.environments / name, (OLD, OLD))
    using = run_step.locked(ground.environments, "used")
    run_step.remove_unused(ground.environments)
    os.close(using)
    assert {each.name for each in ground.environments.iterdir()} == {"new", "used", ".locks", ".uv-cache"}


def test_what_another_pod_removes_meanwhile_is_left_to_it(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "gone", "last"):
        (ground.environments / name).mkdir(parents=True)
        os.utime(ground.environments / name, (OLD, OLD))
    (ground.environments / ".locks").mkdir()
    remove = run_step.remove_if_unused

    def meanwhile(made: Path) -> None:
        if made.name == "gone":
            made.rmdir()
        remove(made)

    monkeypatch.setattr(run_step, "remove_if_unused", meanwhile)
    run_step.remove_unused(ground.environments)
    assert [each.name for each in ground.environments.iterdir()] == [".locks"]


def test_a_built_image_needs_no_environment(ground: Ground) -> None:
    (ground.folder / "code" / "greeting.py").write_text("VERSION = 'built'\n")
    code, lines = ground.run("saying", "3", environments="-")
    assert (code, lines) == (3, ["built 3"])
    assert not ground.environments.exists()


def test_an_environment_unused_for_a_week_is_removed(ground: Ground) -> None:
    ground.run("saying", "0")
    (first,) = ground.made()
    os.utime(first, (OLD, OLD))
    left = ground.environments / f"{'0' * 64}.partial"
    left.mkdir()
    os.utime(left, (OLD, OLD))
    ground.lock(wheel(ground.wheels, "2.0"))
    assert f"removed the environment {first.name}: unused for a week" in ground.run("saying", "0")[1]
    assert len(ground.made()) == 1
    assert first not in ground.made()


def test_use_keeps_an_environment(ground: Ground) -> None:
    ground.run("saying", "0")
    (first,) = ground.made()
    os.utime(first, (OLD, OLD))
    ground.run("saying", "0")
    ground.lock(wheel(ground.wheels, "2.0"))
    ground.run("saying", "0")
    assert first in ground.made()


def test_an_environment_in_which_something_still_runs_is_kept(ground: Ground) -> None:
    waiting = ground.start("waiting")
    try:
        assert waiting.stdout is not None
        while waiting.stdout.readline() != "up\n":
            assert waiting.poll() is None
        (first,) = ground.made()
        os.utime(first, (OLD, OLD))
        ground.lock(wheel(ground.wheels, "2.0"))
        ground.run("saying", "0")
        assert first in ground.made()
    finally:
        waiting.terminate()
        waiting.communicate()
    ground.run("saying", "0")
    assert first not in ground.made()


def test_a_signal_reaches_the_program_itself(ground: Ground) -> None:
    waiting = ground.start("waiting")
    assert waiting.stdout is not None
    while waiting.stdout.readline() != "up\n":
        assert waiting.poll() is None
    waiting.terminate()
    waiting.communicate(timeout=60)
    assert waiting.returncode == -signal.SIGTERM


@pytest.mark.parametrize("pods", ["steps", "sidecar"])
def test_each_lock_names_a_hash_for_each_package_and_no_address(pods: str) -> None:
    lock = (HERE.parent / f"requirements-{pods}.txt").read_text()
    entries = [entry for entry in lock.replace("\\\n", "").splitlines() if entry.strip()]
    assert len(entries) > 10
    assert [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []
    assert "://" not in lock
    # The file is stored in a ConfigMap, which holds at most 1 MiB.
    assert len(lock) < 300_000


def test_the_tests_run_with_what_the_pods_run() -> None:
    def pins(name: str) -> set[str]:
        lock = (HERE.parent / f"requirements-{name}.txt").read_text()
        return {line.split(" ")[0] for line in lock.splitlines() if "==" in line and line[0].isalpha()}

    assert (pins("steps") | pins("sidecar")) - pins("dev") == set()
