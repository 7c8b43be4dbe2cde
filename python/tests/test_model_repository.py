from collections.abc import Iterator
from typing import Any

import pytest

from lifecycle import model_repository
from lifecycle.exits import PermanentError
from lifecycle.model_repository import BadVersion, Pointer
from lifecycle.store import Store, json_bytes
from serving_stack import object_store_process

FILES = {name: name.encode() for name in model_repository.FILES}
META = {"model": "trip", "runId": "r", "run": "a", "batch": "2024-01", "createdAt": 1}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with object_store_process(tmp_path_factory.mktemp("repository")):
        yield


@pytest.fixture
def store(server: None, request: pytest.FixtureRequest) -> Store:
    return Store("models", f"{request.node.name}/")


def test_a_version_is_read_as_it_was_written(store: Store) -> None:
    model_repository.write_version(store, 3, FILES, META)
    assert model_repository.read_version(store, 3) == FILES
    manifest = model_repository.read_manifest(store, 3)
    assert manifest is not None
    assert manifest.items() >= {"version": 3, **META}.items()


def test_the_same_version_again_is_done_and_another_is_refused(store: Store) -> None:
    model_repository.write_version(store, 3, FILES, META)
    model_repository.write_version(store, 3, FILES, {**META, "createdAt": 2})
    manifest = model_repository.read_manifest(store, 3)
    assert manifest is not None
    assert manifest["createdAt"] == 1
    with pytest.raises(PermanentError, match="is there with other files, and versions never change"):
        model_repository.write_version(store, 3, {**FILES, "model.onnx": b"other"}, META)
    assert model_repository.read_version(store, 3) == FILES


def test_the_slower_of_two_writers_must_have_the_same_files(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_repository.write_version(store, 3, FILES, META)
    read = model_repository.read_manifest
    answers: Iterator[Any] = iter([None, read(store, 3), None, {"files": {}}])
    monkeypatch.setattr(model_repository, "read_manifest", lambda *_: next(answers))
    model_repository.write_version(store, 3, FILES, META)
    with pytest.raises(PermanentError):
        model_repository.write_version(store, 3, FILES, META)


def test_a_version_needs_every_file(store: Store) -> None:
    with pytest.raises(ValueError, match=r"got none of golden\.json"):
        model_repository.write_version(store, 3, {n: c for n, c in FILES.items() if n != "golden.json"}, META)
    assert store.list() == []


def test_an_incomplete_or_damaged_version_is_not_read(store: Store) -> None:
    with pytest.raises(BadVersion, match="version 3 has no manifest"):
        model_repository.read_version(store, 3)
    model_repository.write_version(store, 3, FILES, META)
    store.put("versions/3/model.onnx", b"MODEL.onnx")
    with pytest.raises(BadVersion, match="the hash"):
        model_repository.read_version(store, 3)
    store.delete(["versions/3/model.onnx"])
    with pytest.raises(BadVersion, match=r"model\.onnx is missing"):
        model_repository.read_version(store, 3)


def test_a_removed_version_is_gone(store: Store) -> None:
    model_repository.write_version(store, 3, FILES, META)
    model_repository.write_version(store, 30, FILES, META)
    model_repository.delete_version(store, 3)
    assert {key.split("/")[1] for key in store.list("versions/")} == {"30"}


def test_a_pointer_is_read_as_it_was_written(store: Store) -> None:
    assert model_repository.read_pointer(store) is None
    pointer = Pointer(3, 2, None, 12.5, "a run")
    model_repository.write_pointer(store, pointer)
    assert model_repository.read_pointer(store) == pointer
    assert store.get_json("pointer.json") == {
        "version": 3,
        "previous": 2,
        "shadow": None,
        "changedAt": 12.5,
        "by": "a run",
    }


@pytest.mark.parametrize("bad", [b"{", b"[]", b'{"version": 0}', b'{"version": true}', b'{"previous": "1"}'])
def test_what_is_no_pointer_is_refused(store: Store, bad: bytes) -> None:
    store.put("pointer.json", bad)
    with pytest.raises(PermanentError, match="is no pointer"):
        model_repository.read_pointer(store)


def test_no_file_is_written_outside_the_versions_folder() -> None:
    files = {name: {"sha256": "0", "bytes": 1} for name in (*model_repository.FILES, "../a")}
    manifest = json_bytes({"version": 1, "files": files})
    with pytest.raises(BadVersion, match="no plain names"):
        model_repository.parse_manifest(1, manifest)
