"""Custom resources as ConfigMaps describe them: there, current, and no others of ours."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apply_custom_resources import (
    LABEL,
    SECONDS_BETWEEN_LOOKS,
    SECONDS_BETWEEN_REPAIRS,
    Place,
    State,
    look,
    main,
)
from kubernetes_api import Answer, Call, Request
from small_api_server import Fault, SmallApiServer

GROUP, VERSION = "monitoring.example", "v1"
RULES = Place(GROUP, VERSION, "rules", "platform", "any")
MONITORS = Place(GROUP, VERSION, "monitors", "steps", "any")
KINDS = [RULES, MONITORS]
MAPS = "/api/v1/namespaces/platform/configmaps"
OURS = {"app.kubernetes.io/managed-by": "mlops-lifecycle"}


@pytest.fixture
def cluster(server: SmallApiServer) -> SmallApiServer:
    """A cluster with both definitions and a ConfigMap with one rule and one monitor."""
    server.define(GROUP, VERSION, "rules", "monitors")
    put_map(server, {key(RULES, "slow"): resource(1), key(MONITORS, "queue"): resource(1)})
    return server


def key(kind: Place, name: str) -> str:
    return f"{kind.group}_{kind.version}_{kind.plural}_{kind.namespace}_{name}.yaml"


def path(kind: Place, name: str) -> str:
    return f"{kind.collection}/{name}"


def resource(threshold: int) -> str:
    # JSON is YAML, and the little API server reads no more of it.
    return json.dumps({"metadata": {"labels": OURS}, "spec": {"threshold": threshold}})


def put_map(server: SmallApiServer, data: dict[str, str], name: str = "resources") -> None:
    server.put(f"{MAPS}/{name}", {"metadata": {"name": name, "labels": {LABEL: "true"}}, "data": data})


def custom(server: SmallApiServer) -> dict[str, Any]:
    return {where: item["spec"] for where, item in server.objects.items() if where.startswith("/apis/")}


def take_look(state: State, call: Call, now: float = 0.0) -> tuple[State, list[str]]:
    return look(state, "platform", KINDS, call, now)


def settled(call: Call) -> State:
    state, _ = take_look(State(), call)
    assert state.applied is not None
    return state


def test_applies_what_the_configmaps_hold(cluster: SmallApiServer, call: Call) -> None:
    put_map(cluster, {key(RULES, "full"): resource(2)}, "more")
    state, lines = take_look(State(), call)
    assert custom(cluster) == {
        path(RULES, "slow"): {"threshold": 1},
        path(RULES, "full"): {"threshold": 2},
        path(MONITORS, "queue"): {"threshold": 1},
    }
    assert lines == ["3 custom resources are there"]
    assert state.applied is not None


def test_a_configmap_without_the_label_is_none_of_ours(cluster: SmallApiServer, call: Call) -> None:
    cluster.put(f"{MAPS}/other", {"data": {key(RULES, "other"): resource(1)}})
    take_look(State(), call)
    assert path(RULES, "other") not in cluster.objects


def test_a_configmap_without_data_is_empty(cluster: SmallApiServer, call: Call) -> None:
    del cluster.objects[f"{MAPS}/resources"]["data"]
    state, _ = take_look(State(), call)
    assert state.applied == {}


def test_applies_once_the_definitions_are_there(server: SmallApiServer, call: Call) -> None:
    put_map(server, {key(RULES, "slow"): resource(1)})
    state, lines = take_look(State(), call)
    assert state.applied is None
    assert lines == [f"{path(RULES, 'slow')}: 404 the server could not find the requested resource"]
    server.define(GROUP, VERSION, "rules", "monitors")
    state, lines = take_look(state, call, now=10.0)
    assert state.applied is not None
    assert lines == ["1 custom resources are there"]


def test_a_look_without_a_change_reads_the_configmaps_and_no_more(
    cluster: SmallApiServer, call: Call
) -> None:
    state = settled(call)
    cluster.seen.clear()
    assert take_look(state, call, now=SECONDS_BETWEEN_REPAIRS - 1.0) == (state, [])
    assert [seen.path for seen in cluster.seen] == [MAPS]


def test_applies_again_on_a_change(cluster: SmallApiServer, call: Call) -> None:
    state = settled(call)
    put_map(cluster, {key(RULES, "slow"): resource(5), key(MONITORS, "queue"): resource(1)})
    take_look(state, call, now=1.0)
    assert custom(cluster)[path(RULES, "slow")] == {"threshold": 5}


def test_what_somebody_deleted_is_back_after_the_time_between_repairs(
    cluster: SmallApiServer, call: Call
) -> None:
    state = settled(call)
    del cluster.objects[path(RULES, "slow")]
    state, lines = take_look(state, call, now=SECONDS_BETWEEN_REPAIRS)
    assert path(RULES, "slow") in cluster.objects
    assert lines == []
    assert state.repair_at == 2 * SECONDS_BETWEEN_REPAIRS


def test_what_somebody_changed_is_taken_back_and_what_they_added_stays(
    cluster: SmallApiServer, call: Call
) -> None:
    state = settled(call)
    cluster.put(path(RULES, "slow"), {"metadata": {"name": "slow"}, "spec": {"threshold": 9, "note": "mine"}})
    take_look(state, call, now=SECONDS_BETWEEN_REPAIRS)
    assert custom(cluster)[path(RULES, "slow")] == {"threshold": 1, "note": "mine"}


def test_a_field_that_left_its_configmap_leaves_its_resource(cluster: SmallApiServer, call: Call) -> None:
    state = settled(call)
    put_map(cluster, {key(RULES, "slow"): json.dumps({"metadata": {"labels": OURS}, "spec": {}})})
    take_look(state, call)
    assert custom(cluster) == {path(RULES, "slow"): {}}


def test_a_resource_whose_name_is_not_its_key_s_is_refused(cluster: SmallApiServer, call: Call) -> None:
    put_map(cluster, {key(RULES, "slow"): json.dumps({"metadata": {"name": "fast"}, "spec": {}})})
    _, lines = take_look(State(), call)
    assert lines == [f"{path(RULES, 'slow')}: 400 the name of the object does not match the name on the URL"]


def test_unknown_fields_are_asked_to_be_refused(cluster: SmallApiServer, call: Call) -> None:
    take_look(State(), call)
    queries = [seen.query for seen in cluster.seen if seen.method == "PATCH"]
    assert queries == [
        {"fieldManager": "mlops-lifecycle", "fieldValidation": "Strict", "force": "true"},
    ] * len(queries)
    assert len(queries) == 2


def test_one_refused_resource_stops_no_other(cluster: SmallApiServer, call: Call) -> None:
    cluster.faults["PATCH", path(MONITORS, "queue")] = Fault(403, b'{"message": "forbidden"}', times=1)
    state, lines = take_look(State(), call)
    assert lines == [f"{path(MONITORS, 'queue')}: 403 forbidden"]
    assert state.applied is None
    assert path(RULES, "slow") in cluster.objects
    state, _ = take_look(state, call, now=10.0)
    assert path(MONITORS, "queue") in cluster.objects
    assert state.applied is not None


def test_text_that_is_no_yaml_is_named_by_its_place(cluster: SmallApiServer, call: Call) -> None:
    put_map(cluster, {key(RULES, "slow"): "{"})
    _, lines = take_look(State(), call)
    assert lines == [f"{path(RULES, 'slow')}: 400 error decoding YAML"]


@pytest.mark.parametrize(
    "bad", ["slow.yaml", "a_b_c_d_e_f.yaml", "a_b_c__e.yaml", "a_b_c_d_e", "a_b_c_d_e.yml"]
)
def test_a_bad_key_is_named_with_its_configmap_and_stops_no_other(
    cluster: SmallApiServer, call: Call, bad: str
) -> None:
    put_map(cluster, {bad: resource(1)}, "odd")
    state, lines = take_look(State(), call)
    assert lines == [f"ConfigMap odd: '{bad}' is not <group>_<version>_<plural>_<namespace>_<name>.yaml"]
    assert len(custom(cluster)) == 2
    assert state.applied is None


def test_a_bad_key_that_comes_later_is_named_too(cluster: SmallApiServer, call: Call) -> None:
    state = settled(call)
    put_map(cluster, {"slow.yaml": resource(1)}, "odd")
    state, lines = take_look(state, call)
    assert state.applied is None
    assert len(lines) == 1


def test_nothing_is_deleted_while_a_key_is_bad(cluster: SmallApiServer, call: Call) -> None:
    state = settled(call)
    put_map(cluster, {"slow.yaml": resource(1), key(MONITORS, "queue"): resource(1)})
    state, _ = take_look(state, call)
    assert path(RULES, "slow") in cluster.objects
    put_map(cluster, {key(MONITORS, "queue"): resource(1)})
    take_look(state, call)
    assert path(RULES, "slow") not in cluster.objects


def test_deletes_what_no_configmap_holds_any_more(cluster: SmallApiServer, call: Call) -> None:
    state = settled(call)
    put_map(cluster, {key(MONITORS, "queue"): resource(1)})
    state, lines = take_look(state, call)
    assert list(custom(cluster)) == [path(MONITORS, "queue")]
    assert lines == [f"{path(RULES, 'slow')}: deleted", "1 custom resources are there"]


def test_deletes_what_was_left_while_it_did_not_run(cluster: SmallApiServer, call: Call) -> None:
    cluster.put(path(RULES, "old"), {"metadata": {"name": "old", "labels": OURS}, "spec": {}})
    take_look(State(), call)
    assert path(RULES, "old") not in cluster.objects


@pytest.mark.parametrize("labels", [{}, {"app.kubernetes.io/managed-by": "Helm"}])
def test_never_deletes_what_lacks_our_label(
    cluster: SmallApiServer, call: Call, labels: dict[str, str]
) -> None:
    cluster.put(path(RULES, "theirs"), {"metadata": {"name": "theirs", "labels": labels}, "spec": {}})
    take_look(State(), call)
    assert path(RULES, "theirs") in cluster.objects
    assert cluster.paths("DELETE") == []


@pytest.mark.parametrize("status", [401, 403, 429, 500])
def test_deletes_nothing_when_the_configmaps_cannot_be_read(
    cluster: SmallApiServer, call: Call, status: int
) -> None:
    state = settled(call)
    cluster.faults["GET", MAPS] = Fault(status, b'{"message": "not now"}')
    state, lines = take_look(state, call)
    assert state.applied is None
    assert lines == [f"the ConfigMaps of platform cannot be read: {status} not now"]
    assert len(custom(cluster)) == 2
    assert cluster.paths("DELETE") == []


def test_a_refused_deletion_is_told_and_tried_again(cluster: SmallApiServer, call: Call) -> None:
    state = settled(call)
    put_map(cluster, {})
    cluster.faults["DELETE", path(RULES, "slow")] = Fault(403, b'{"message": "forbidden"}', times=1)
    state, lines = take_look(state, call)
    assert lines == [f"{path(MONITORS, 'queue')}: deleted", f"{path(RULES, 'slow')}: 403 forbidden"]
    assert state.applied is None
    state, lines = take_look(state, call)
    assert custom(cluster) == {}
    assert state.applied == {}


def test_a_kind_that_cannot_be_listed_is_told_and_stops_no_other(cluster: SmallApiServer, call: Call) -> None:
    state = settled(call)
    put_map(cluster, {})
    cluster.faults["GET", MONITORS.collection] = Fault(500, b'{"message": "broken"}')
    state, lines = take_look(state, call)
    assert lines == [f"{path(RULES, 'slow')}: deleted", f"{MONITORS.collection}: 500 broken"]
    assert state.applied is None


def test_after_an_outage_everything_is_applied_again_at_once(cluster: SmallApiServer, call: Call) -> None:
    def unreachable(request: Request) -> Answer:
        raise ConnectionRefusedError("nobody there")

    state, lines = take_look(settled(call), unreachable)
    assert state.applied is None
    assert lines == ["the API server cannot be reached: nobody there"]
    del cluster.objects[path(RULES, "slow")]
    state, _ = take_look(state, call)
    assert path(RULES, "slow") in cluster.objects
    assert state.applied is not None


class EndOfTest(Exception):
    """Ends the loop that never ends."""


def run_main(ready: Path, call: Call, between_looks: list[Callable[[], None]]) -> None:
    """Run the loop; after each look comes the next of these."""
    remaining = iter(between_looks)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        step = next(remaining, None)
        if step is None:
            raise EndOfTest
        step()

    with pytest.raises(EndOfTest):
        main("platform", ready, KINDS, call, sleep, clock=lambda: sum(slept))
    assert set(slept) == {SECONDS_BETWEEN_LOOKS}


def test_the_ready_file_is_there_while_everything_wanted_is(
    cluster: SmallApiServer, call: Call, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    seen: list[bool] = []

    def note() -> None:
        seen.append(ready.exists())

    def outage() -> None:
        note()
        cluster.faults["GET", MAPS] = Fault(503, b'{"message": "starting"}', times=1)

    run_main(ready, call, [note, outage, note, note])
    assert seen == [True, True, False, True]


def test_the_ready_file_of_a_crashed_container_does_not_count(
    server: SmallApiServer, call: Call, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    ready.touch()

    def crash(request: Request) -> Answer:
        raise AssertionError("a fault of this program")

    with pytest.raises(AssertionError):
        main("platform", ready, KINDS, crash)
    assert not ready.exists()


def test_the_same_refusal_is_told_once(
    server: SmallApiServer, call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_map(server, {key(RULES, "slow"): resource(1)})
    run_main(
        tmp_path / "ready",
        call,
        [lambda: None, lambda: None, lambda: server.define(GROUP, VERSION, "rules"), lambda: None],
    )
    assert capsys.readouterr().out.splitlines() == [
        f"{path(RULES, 'slow')}: 404 the server could not find the requested resource",
        "1 custom resources are there",
    ]


def test_a_repair_comes_within_its_time(cluster: SmallApiServer, call: Call, tmp_path: Path) -> None:
    def delete() -> None:
        del cluster.objects[path(RULES, "slow")]

    looks = SECONDS_BETWEEN_REPAIRS // SECONDS_BETWEEN_LOOKS
    run_main(tmp_path / "ready", call, [delete, *[lambda: None] * (looks - 1)])
    assert path(RULES, "slow") in cluster.objects


def test_the_program_ends_at_sigterm(tmp_path: Path) -> None:
    program = Path(__file__).parents[1] / "programs/apply_custom_resources.py"
    with subprocess.Popen(
        [sys.executable, str(program), "platform", str(tmp_path / "ready"), key(RULES, "any")],
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("the API server cannot be reached: ")
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0
