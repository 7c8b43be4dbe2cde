"""The downloader and its store, with a real MinIO."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from lifecycle.exits import RetryableError
from lifecycle.sidecar.downloader import Downloader, Unchanged, WatchedStore
from lifecycle.sidecar.model_cache import ModelCache
from lifecycle.sidecar.serving_state import ServingState
from processes import Process
from serving_stack import object_store_process, point, publish, store


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    with object_store_process(tmp_path) as started:
        yield started


@pytest.fixture
def downloader(server: Process, tmp_path: Path) -> Downloader:
    return Downloader(WatchedStore("models"), ModelCache(tmp_path / "cache"), ServingState(), lambda: None)


def test_only_what_changed_is_sent(server: Process) -> None:
    watched = WatchedStore("models")
    assert watched.changed("trip/a") is None
    store().put("a", b"1")
    assert [watched.changed("trip/a"), watched.changed("trip/a")] == [b"1", Unchanged.UNCHANGED]
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


def test_a_store_that_refuses_or_does_not_answer_is_a_retryable_error(
    server: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    watched = WatchedStore("models")
    for gone in (False, True):
        if gone:
            server.kill()
        with pytest.raises(RetryableError):
            watched.pipelines()
        with pytest.raises(RetryableError):
            watched.changed("trip/pointer.json")
        with pytest.raises(RetryableError):
            watched.download("trip/pointer.json", tmp_path / "file")


def test_a_download_that_is_cut_off_is_not_the_versions_fault(
    downloader: Downloader, server: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(1)
    point(1)
    download = WatchedStore.download

    def cut_off(watched: WatchedStore, key: str, file: Path) -> tuple[int, str] | None:
        server.kill()
        return download(watched, key, file)

    monkeypatch.setattr(WatchedStore, "download", cut_off)
    downloader.tick()
    model = downloader._state.models["trip"]
    assert (model.refused, downloader._state.failures["store"]) == ({}, 1)
    assert not downloader._cache.has("trip", 1)


def test_a_full_disk_refuses_no_version_and_the_download_is_repeated(
    downloader: Downloader, server: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(1)
    point(1)
    with monkeypatch.context() as patched:

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patched.setattr(WatchedStore, "download", full)
        downloader.tick()
    model = downloader._state.models["trip"]
    assert (model.refused, downloader._state.failures["disk"]) == ({}, 1)
    assert not downloader._cache.has("trip", 1)
    downloader.tick()
    assert downloader._cache.has("trip", 1)


def test_a_pipeline_that_comes_back_shows_its_statuses_again(
    downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lifecycle.sidecar.downloader.STATUS_SECONDS", 0)
    publish(1)
    point(1)
    store().put("status/batch.json", b'{"rows": 5}')
    downloader.tick()
    assert downloader._state.statuses == {"trip": {"batch": {"rows": 5}}}
    store().delete(["pointer.json"])
    downloader.tick()
    # The reconciler does this when a pipeline is removed.
    del downloader._state.models["trip"], downloader._state.statuses["trip"]
    point(1)
    downloader.tick()
    assert downloader._state.statuses == {"trip": {"batch": {"rows": 5}}}


def test_a_status_that_is_no_json_object_is_ignored(downloader: Downloader) -> None:
    store().put("status/batch.json", b"{")
    store().put("status/error.json", b"[1]")
    store().put("status/gate.json", b'{"champion": 1}')
    downloader.tick()
    assert downloader._state.statuses == {"trip": {"gate": {"champion": 1}}}
