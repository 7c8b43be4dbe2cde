import threading
import time
from typing import Any

import pytest

from file_server import Answer, FileServer
from lifecycle.exits import PermanentError, RetryableError
from lifecycle.store import Store
from processes import free_port


@pytest.fixture
def store(object_store: Any) -> Store:
    return Store("data", "trips/", patience=0)


def test_an_object_is_read_as_it_was_written_below_the_prefix(store: Store, object_store: Any) -> None:
    store.put("a", b"one")
    assert store.get("a") == b"one"
    assert object_store.get_object(Bucket="data", Key="trips/a")["Body"].read() == b"one"


def test_a_missing_object_is_none(store: Store) -> None:
    assert store.get("a") is None
    assert store.get_json("a") is None


def test_json_has_the_same_bytes_whatever_its_order(store: Store) -> None:
    store.put_json("a", {"b": 1, "a": [0.5]})
    store.put_json("b", {"a": [0.5], "b": 1})
    assert store.get("a") == store.get("b") == b'{\n  "a": [\n    0.5\n  ],\n  "b": 1\n}\n'
    assert store.get_json("a") == {"a": [0.5], "b": 1}


def test_json_never_holds_nan(store: Store) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.put_json("a", {"mae": float("nan")})
    assert store.get("a") is None


@pytest.mark.parametrize("data", [b"{", b"[]", b"\xff"])
def test_content_that_is_no_json_object_stops(store: Store, data: bytes) -> None:
    store.put("a", data)
    with pytest.raises(PermanentError, match="s3://data/trips/a is no JSON"):
        store.get_json("a")


def test_a_new_object_is_written_once(store: Store) -> None:
    assert store.put_new("a", b"first") is True
    assert store.put_new("a", b"second") is False
    assert store.get("a") == b"first"


def test_only_one_of_many_concurrent_writers_creates_an_object(store: Store) -> None:
    won: list[int] = []

    def put(number: int) -> None:
        if Store("data", "trips/").put_new("a", str(number).encode()):
            won.append(number)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [str(number).encode() for number in won] == [store.get("a")]


def test_keys_are_listed_below_a_prefix_beyond_one_page(store: Store, object_store: Any) -> None:
    object_store.put_object(Bucket="data", Key="others/a", Body=b"")
    for number in range(1001):
        store.put(f"many/{number:04d}", b"")
    store.put("few/a", b"")
    assert store.list("few/") == ["few/a"]
    assert store.list("many/") == [f"many/{number:04d}" for number in range(1001)]
    assert len(store.list()) == 1002
    assert list(store.walk("many/")) == store.list("many/")
    assert store.folders("") == ["few/", "many/"]
    assert store.folders("many/") == []


def test_keys_are_deleted_and_missing_ones_are_no_error(store: Store) -> None:
    store.put("a", b"")
    store.put("b", b"")
    store.delete(["a", "never"])
    assert store.list() == ["b"]


def test_a_bucket_that_is_not_there_stops(object_store: Any) -> None:
    with pytest.raises(PermanentError, match="refuses s3://nowhere/"):
        Store("nowhere", patience=0).put("a", b"")


def test_a_wrong_key_stops(object_store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(PermanentError, match="SignatureDoesNotMatch"):
        Store("data", patience=0).get("a")


def test_no_key_at_all_stops(object_store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(PermanentError, match="cannot be asked: Unable to locate credentials"):
        Store("data", patience=0).get("a")


def test_an_unreachable_store_is_tried_again_and_then_a_retryable_error(
    object_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free_port()}")
    began = time.monotonic()
    with pytest.raises(RetryableError, match="the object store does not answer"):
        Store("data", patience=1).get("a")
    assert time.monotonic() - began >= 1


def test_a_store_that_fails_may_pass_later(
    object_store: Any, file_server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", file_server.address)
    file_server.answers["/data/a"] = Answer(b"", 503)
    with pytest.raises(RetryableError, match="the object store does not answer"):
        Store("data", patience=0).get("a")


def test_an_answer_that_breaks_off_may_pass_later(
    object_store: Any, file_server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", file_server.address)
    file_server.answers["/data/a"] = Answer(b"x" * 1000, missing=10)
    with pytest.raises(RetryableError, match="the object store does not answer"):
        Store("data", patience=0).get("a")
