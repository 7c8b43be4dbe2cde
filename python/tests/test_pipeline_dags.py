"""Airflow's DAG folder: the shared files, and one file for each pipeline."""

import ast
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubernetes_api import Answer, Call, Request
from lifecycle.names import PIPELINE_LABEL
from pipeline_dags import look, main
from processes import copied_programs
from small_api_server import Fault, SmallApiServer

MAPS = "/api/v1/namespaces/platform/configmaps"


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder like a mounted ConfigMap: its entries link into `..data`, which links to another folder."""
    folder = tmp_path / "shared"
    (folder / "..2026" / "lifecycle").mkdir(parents=True)
    (folder / "..data").symlink_to("..2026")
    for name, text in {
        "lifecycle_dags.py": "dags = dict\n",
        ".airflowignore": "lifecycle_*.py\n",
        "lifecycle/names.py": "",
    }.items():
        (folder / "..2026" / name).write_text(text)
    for top in ("lifecycle", "lifecycle_dags.py", ".airflowignore"):
        (folder / top).symlink_to(f"..data/{top}")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "dags"
    made.mkdir()
    return made


def spec(name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "mlops-lifecycle/v1", "name": name} | more


def put(server: SmallApiServer, name: str, text: str | None) -> None:
    data = {"model.py": ""} if text is None else {"spec.json": text}
    metadata = {"name": f"pipeline-{name}", "labels": {PIPELINE_LABEL: name}}
    server.put(f"{MAPS}/pipeline-{name}", {"metadata": metadata, "data": data})


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def spec_in(file: Path) -> Any:
    """The spec that the file passes to `dags`."""
    (call,) = (
        node
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dags"
    )
    return json.loads(ast.literal_eval(call.args[0]))


def test_each_pipeline_has_a_file_of_its_own_beside_the_shared_ones(
    server: SmallApiServer, call: Call, shared: Path, folder: Path
) -> None:
    put(server, "trips", json.dumps(spec("trips")))
    put(server, "fares", json.dumps(spec("fares")))
    whole, lines = look("platform", shared, folder, call)
    assert whole
    shared_files = [".airflowignore", "lifecycle/names.py", "lifecycle_dags.py"]
    assert names(folder) == [*shared_files, "pipeline-fares.py", "pipeline-trips.py"]
    assert lines == [f"{name}: written" for name in names(folder)]
    assert spec_in(folder / "pipeline-trips.py") == spec("trips")


def test_a_second_look_writes_nothing(server: SmallApiServer, call: Call, shared: Path, folder: Path) -> None:
    put(server, "trips", json.dumps(spec("trips")))
    look("platform", shared, folder, call)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert look("platform", shared, folder, call) == (True, [])
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize(
    "text", ['"""', "\\", '\\"""', "{spec}", "é\n\t\x00", '"""\nimport os\n', "\\u0022" * 3, ""]
)
def test_whatever_a_spec_says_reaches_the_dag_and_is_never_run(
    server: SmallApiServer, call: Call, shared: Path, folder: Path, text: str
) -> None:
    described = spec("trips", description=text, **{f"key {text}": [text, text]})
    put(server, "trips", json.dumps(described))
    look("platform", shared, folder, call)
    assert spec_in(folder / "pipeline-trips.py") == described


def test_the_file_has_the_words_by_which_airflow_finds_dag_files(
    server: SmallApiServer, call: Call, shared: Path, folder: Path
) -> None:
    put(server, "trips", json.dumps(spec("trips")))
    look("platform", shared, folder, call)
    text = (folder / "pipeline-trips.py").read_text().lower()
    # In its safe mode Airflow skips files without both words (dag_discovery_safe_mode).
    assert "dag" in text
    assert "airflow" in text


def test_the_file_of_a_deleted_pipeline_is_removed(
    server: SmallApiServer, call: Call, shared: Path, folder: Path
) -> None:
    put(server, "trips", json.dumps(spec("trips")))
    look("platform", shared, folder, call)
    del server.objects[f"{MAPS}/pipeline-trips"]
    assert look("platform", shared, folder, call) == (True, ["pipeline-trips.py: removed"])
    assert names(folder) == [".airflowignore", "lifecycle/names.py", "lifecycle_dags.py"]


def test_a_shared_module_that_a_newer_release_lacks_is_removed(
    call: Call, shared: Path, folder: Path
) -> None:
    look("platform", shared, folder, call)
    (shared / "..2026" / "lifecycle" / "names.py").rename(shared / "..2026" / "lifecycle" / "words.py")
    _, lines = look("platform", shared, folder, call)
    assert lines == ["lifecycle/words.py: written", "lifecycle/names.py: removed"]
    assert names(folder) == [".airflowignore", "lifecycle/words.py", "lifecycle_dags.py"]


def test_a_changed_shared_file_is_written_again(call: Call, shared: Path, folder: Path) -> None:
    look("platform", shared, folder, call)
    (shared / "..2026" / "lifecycle_dags.py").write_text("dags = list\n")
    assert look("platform", shared, folder, call) == (True, ["lifecycle_dags.py: written"])
    assert (folder / "lifecycle_dags.py").read_text() == "dags = list\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "spec.json is no JSON: Expecting property name"),
        ("[]", "spec.json must be the spec of 'trips', got '[]'"),
        (json.dumps(spec("fares")), "spec.json must be the spec of 'trips'"),
        ('{"name": "trips"}', "apiVersion must be 'mlops-lifecycle/v1', got None"),
        (None, "it has no spec.json, only model.py"),
    ],
)
def test_an_unreadable_spec_is_reported_keeps_its_old_file_and_stops_no_other_pipeline(
    server: SmallApiServer, call: Call, shared: Path, folder: Path, text: str | None, message: str
) -> None:
    put(server, "trips", json.dumps(spec("trips")))
    look("platform", shared, folder, call)
    put(server, "trips", text)
    put(server, "zones", json.dumps(spec("zones")))
    whole, lines = look("platform", shared, folder, call)
    assert whole
    assert lines[0].startswith("ConfigMap pipeline-trips: ")
    assert message in lines[0]
    assert lines[1:] == ["pipeline-zones.py: written"]
    assert spec_in(folder / "pipeline-trips.py") == spec("trips")


def test_a_label_that_is_no_dns_label_makes_no_file(call: Call, shared: Path, folder: Path) -> None:
    metadata = {"name": "sly", "labels": {PIPELINE_LABEL: "Trips_1"}}
    body = {"items": [{"metadata": metadata, "data": {"spec.json": json.dumps(spec("Trips_1"))}}]}
    whole, lines = look("platform", shared, folder, lambda _: Answer(200, body))
    assert whole
    assert lines[0] == f"ConfigMap sly: its label {PIPELINE_LABEL} must be a DNS label, got 'Trips_1'"
    assert "pipeline-Trips_1.py" not in names(folder)


def test_no_file_changes_while_the_api_server_does_not_answer(
    server: SmallApiServer, call: Call, shared: Path, folder: Path
) -> None:
    put(server, "trips", json.dumps(spec("trips")))
    look("platform", shared, folder, call)
    before = names(folder)

    def away(_: Request) -> Answer:
        raise ConnectionRefusedError("refused")

    assert look("platform", shared, folder, away) == (False, ["the API server cannot be reached: refused"])
    server.faults["GET", MAPS] = Fault(403, b'{"message": "not yours"}')
    assert look("platform", shared, folder, call) == (
        False,
        ["the ConfigMaps of platform cannot be read: 403 not yours"],
    )
    assert names(folder) == before


class Stopped(Exception):
    """Ends the endless loop of `main`."""


def times(count: int) -> Callable[[float], None]:
    """A replacement of `sleep` that raises Stopped when it is called the last of `count` times."""
    left = [None] * count

    def sleep(_: float) -> None:
        left.pop()
        if not left:
            raise Stopped

    return sleep


def test_is_ready_once_the_folder_is_whole_and_stays_so(
    server: SmallApiServer,
    call: Call,
    shared: Path,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ready = folder / ".ready"
    server.faults["GET", MAPS] = Fault(503, b"{}", times=2)
    with pytest.raises(Stopped):
        main("platform", shared, folder, ready, call, times(2))
    assert not ready.exists()
    with pytest.raises(Stopped):
        main("platform", shared, folder, ready, call, times(2))
    assert ready.exists()
    server.faults["GET", MAPS] = Fault(503, b"{}")
    capsys.readouterr()
    with pytest.raises(Stopped):
        main("platform", shared, folder, ready, call, times(3))
    assert ready.exists()
    # The same failure is printed only once.
    assert capsys.readouterr().out.splitlines() == ["the ConfigMaps of platform cannot be read: 503"]


def test_ends_at_once_on_sigterm(tmp_path: Path, shared: Path, folder: Path) -> None:
    paths = [str(shared), str(folder), str(folder / ".ready")]
    programs = copied_programs(tmp_path / "program", "kubernetes_api.py", "pipeline_dags.py")
    program = [sys.executable, str(programs / "pipeline_dags.py"), "platform", *paths]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert "the API server cannot be reached" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
