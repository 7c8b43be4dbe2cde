"""Old payloads are deleted, with a real object store."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from lifecycle.exits import PermanentError
from lifecycle.payloads import WRITTEN
from lifecycle.sidecar.payload_writer import PayloadWriter
from lifecycle.steps import retention
from lifecycle.store import Store

NOW = datetime(2024, 6, 1, tzinfo=UTC)


@pytest.fixture
def store(object_store: Any) -> Store:
    return Store("data", "trips/", patience=0)


def key(age: timedelta, version: int = 1) -> str:
    return f"payloads/{version}/{NOW - age:{WRITTEN}}-triton-0.jsonl"


def test_only_older_payloads_are_deleted_of_every_version(store: Store, object_store: Any) -> None:
    day, moment = timedelta(days=1), timedelta(microseconds=1)
    old = [key(90 * day + moment, 1), key(400 * day, 1), key(91 * day, 12)]
    young = [key(90 * day, 1), key(0 * day, 1), key(89 * day, 12), key(day, 3)]
    others = ["payloads/1/0-by-hand.jsonl", "payloads/notes.txt", "raw/2020-01/manifest.json"]
    for each in old + young + others:
        store.put(each, b"{}")
    object_store.put_object(Bucket="data", Key=f"taxis/{old[0]}", Body=b"{}")
    assert retention.delete_old(store, "90d", NOW) == 3
    assert store.list() == sorted(young + others)
    assert Store("data", "taxis/").list() == [old[0]]
    assert retention.delete_old(store, "90d", NOW) == 0


def test_a_run_deletes_a_limited_number_and_the_next_run_continues(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MOST_OBJECTS", 2)
    for hours in range(1, 6):
        store.put(key(timedelta(hours=hours), hours % 2), b"{}")
    assert [retention.delete_old(store, "30m", NOW) for _ in range(4)] == [2, 2, 1, 0]
    assert store.list() == []


def test_objects_of_the_payload_writer_are_found(store: Store) -> None:
    payloads = PayloadWriter(
        lambda name, data: store.put(name.removeprefix("trips/"), data), "triton-0", lambda lost: None
    )
    payloads.add("trips", 1, 0.0, "a", np.ones((1, 2)), np.ones((1, 1)))
    payloads.flush()
    assert len(store.list("payloads/1/")) == 1
    now = datetime.now(UTC)
    assert retention.delete_old(store, "36h", now + timedelta(hours=35)) == 0
    assert retention.delete_old(store, "36h", now + timedelta(hours=37)) == 1


def test_listing_ends_at_the_first_younger_object(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for hours in (25, 23, 22, 21):
        store.put(key(timedelta(hours=hours)), b"")
    listed: list[str] = []
    walk = Store.walk

    def noted(self: Store, prefix: str) -> Iterator[str]:
        for each in walk(self, prefix):
            listed.append(each)
            yield each

    monkeypatch.setattr(Store, "walk", noted)
    assert retention.delete_old(store, "1d", NOW) == 1
    assert listed == [key(timedelta(hours=25)), key(timedelta(hours=23))]


@pytest.mark.parametrize("kept", ["", "90", "0d", "3 months"])
def test_what_is_no_length_of_time_stops(store: Store, kept: str) -> None:
    store.put(key(timedelta(days=1000)), b"{}")
    with pytest.raises(PermanentError, match=r"serving\.payloadRetention must be a length of time"):
        retention.delete_old(store, kept, NOW)
    assert len(store.list()) == 1
