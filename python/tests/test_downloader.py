"""The store as the sidecar asks it, on a real one."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from lifecycle.exits import Later
from lifecycle.sidecar.downloader import Fetch, Same, WatchedStore
from lifecycle.sidecar.model_cache import Shelf
from lifecycle.sidecar.serving_state import Standing
from processes import Process
from serving_stack import minio, point, publish, store


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    with minio(tmp_path) as started:
        yield started


@pytest.fixture
def fetch(server: Process, tmp_path: Path) -> Fetch:
    return Fetch(WatchedStore("models"), Shelf(tmp_path / "shelf"), Standing(), lambda: None)


def test_only_what_changed_is_sent(server: Process) -> None:
    watched = WatchedStore("models")
    assert watched.changed("trip/a") is None
    store().put("a", b"1")
    assert [watched.changed("trip/a"), watched.changed("trip/a")] == [b"1", Same.SAME]
    store().put("a", b"2")
    assert watched.changed("trip/a") == b"2"
    watched.forget("trip/a")
    assert watched.changed("trip/a") == b"2"
    store().delete(["a"])
    assert watched.changed("trip/a") is None


def test_more_pipelines_than_a_page_holds_are_all_found(
    server: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        store(f"pipeline-{number}").put("a", b"")
    watched = WatchedStore("models")
    ask = watched._ask
    monkeypatch.setattr(watched, "_ask", lambda operation, **given: ask(operation, MaxKeys=2, **given))
    assert watched.pipelines() == [f"pipeline-{number}" for number in range(5)]


def test_a_store_that_refuses_or_is_gone_may_be_better_later(
    server: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    watched = WatchedStore("models")
    for gone in (False, True):
        if gone:
            server.kill()
        with pytest.raises(Later):
            watched.pipelines()
        with pytest.raises(Later):
            watched.changed("trip/pointer.json")
        with pytest.raises(Later):
            watched.download("trip/pointer.json", tmp_path / "file")


def test_a_download_that_is_cut_off_is_not_the_versions_fault(
    fetch: Fetch, server: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(1)
    point(1)
    download = WatchedStore.download

    def cut_off(watched: WatchedStore, key: str, file: Path) -> tuple[int, str] | None:
        server.kill()
        return download(watched, key, file)

    monkeypatch.setattr(WatchedStore, "download", cut_off)
    fetch.tick()
    model = fetch._standing.models["trip"]
    assert (model.refused, fetch._standing.failures["store"]) == ({}, 1)
    assert not fetch._shelf.has("trip", 1)


def test_a_full_disk_takes_nothing_away(
    fetch: Fetch, server: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(1)
    point(1)
    with monkeypatch.context() as patched:

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patched.setattr(WatchedStore, "download", full)
        fetch.tick()
    model = fetch._standing.models["trip"]
    assert (model.refused, fetch._standing.failures["disk"]) == ({}, 1)
    assert not fetch._shelf.has("trip", 1)
    fetch.tick()
    assert fetch._shelf.has("trip", 1)


def test_a_pipeline_that_comes_back_shows_its_statuses_again(
    fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lifecycle.sidecar.downloader.STATUS_SECONDS", 0)
    publish(1)
    point(1)
    store().put("status/batch.json", b'{"rows": 5}')
    fetch.tick()
    assert fetch._standing.statuses == {"trip": {"batch": {"rows": 5}}}
    store().delete(["pointer.json"])
    fetch.tick()
    # As the thread that serves does it.
    del fetch._standing.models["trip"], fetch._standing.statuses["trip"]
    point(1)
    fetch.tick()
    assert fetch._standing.statuses == {"trip": {"batch": {"rows": 5}}}


def test_a_status_that_is_no_json_object_is_passed_over(fetch: Fetch) -> None:
    store().put("status/batch.json", b"{")
    store().put("status/error.json", b"[1]")
    store().put("status/gate.json", b'{"champion": 1}')
    fetch.tick()
    assert fetch._standing.statuses == {"trip": {"gate": {"champion": 1}}}
