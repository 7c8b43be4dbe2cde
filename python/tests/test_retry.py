"""Trying again until a deadline."""

import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from lifecycle.retry import poll_until, retry_until


class Away(Exception):
    """What passes."""


def failing(times: int) -> tuple[Callable[[], int], list[float]]:
    """A call that raises `times` times, and when it was made."""
    calls: list[float] = []

    def call() -> int:
        calls.append(time.monotonic())
        if len(calls) <= times:
            raise Away(f"call {len(calls)}")
        return len(calls)

    return call, calls


def test_returns_what_the_first_call_without_an_error_returns() -> None:
    call, calls = failing(2)
    assert retry_until(time.monotonic() + 60, (Away,), call, pause=0.1) == 3
    pauses = [later - earlier for earlier, later in pairwise(calls)]
    assert len(pauses) == 2
    assert min(pauses) >= 0.1


def test_the_deadline_is_kept_and_the_last_error_told() -> None:
    call, calls = failing(1_000)
    began = time.monotonic()
    with pytest.raises(Away) as last:
        retry_until(began + 1, (Away,), call, pause=0.1)
    assert time.monotonic() - began >= 1
    assert str(last.value) == f"call {len(calls)}"
    # The last call began within a pause of the deadline, and only it may begin behind it.
    assert len([begun for begun in calls if begun >= began + 1]) <= 1
    assert 2 <= len(calls) <= 12


def test_a_deadline_that_several_share_is_the_same_for_each() -> None:
    deadline = time.monotonic() + 0.3
    for _ in range(3):
        with pytest.raises(Away):
            retry_until(deadline, (Away,), failing(1_000)[0], pause=0.1)
    call, calls = failing(1_000)
    with pytest.raises(Away, match="call 1"):
        retry_until(deadline, (Away,), call)
    assert len(calls) == 1


def test_another_error_is_told_at_once() -> None:
    calls: list[int] = []

    def call() -> int:
        calls.append(1)
        raise KeyError("missing")

    with pytest.raises(KeyError, match="missing"):
        retry_until(time.monotonic() + 60, (Away,), call)
    assert len(calls) == 1


def test_a_poll_ends_with_the_first_good_result() -> None:
    results: Iterator[int] = iter(range(10))
    assert poll_until(time.monotonic() + 60, lambda: next(results), lambda each: each >= 3, pause=0.01) == 3


def test_a_poll_ends_with_the_last_result_where_none_was_good() -> None:
    results: list[int] = []

    def call() -> int:
        results.append(len(results))
        return results[-1]

    began = time.monotonic()
    assert poll_until(began + 0.3, call, lambda _: False, pause=0.1) == results[-1] > 0
    assert time.monotonic() - began >= 0.3


def test_what_a_poll_raises_is_told_at_once() -> None:
    call, calls = failing(1)
    with pytest.raises(Away, match="call 1"):
        poll_until(time.monotonic() + 60, call, lambda _: True)
    assert len(calls) == 1
