"""Repeats a call until a deadline, which is a time of `time.monotonic()`."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_delay,
    wait_fixed,
)

Result = TypeVar("Result")

PAUSE = 0.5
"""Seconds between two calls."""


def retry_until(
    deadline: float, errors: tuple[type[Exception], ...], call: Callable[[], Result], pause: float = PAUSE
) -> Result:
    """Return the result of `call`, which is repeated while it raises one of `errors`.

    There is at least one call, even after the deadline, and a call that has begun is not interrupted.

    Raises:
        Exception: The error of the last call: one of `errors` if the deadline has passed, any other at once.
    """
    retrying = Retrying(
        retry=retry_if_exception_type(errors),
        stop=stop_after_delay(deadline - time.monotonic()),
        wait=wait_fixed(pause),
        reraise=True,
    )
    return retrying(call)


def poll_until(
    deadline: float, call: Callable[[], Result], good: Callable[[Result], bool], pause: float = PAUSE
) -> Result:
    """Return the first result of `call` that is good; if the deadline has passed, the last one.

    There is at least one call, even after the deadline, and a call that has begun is not interrupted. What
    `call` raises is raised at once.
    """
    retrying = Retrying(
        retry=retry_if_result(lambda result: not good(result)),
        stop=stop_after_delay(deadline - time.monotonic()),
        wait=wait_fixed(pause),
        retry_error_callback=_last_result,
    )
    return retrying(call)


def _last_result(state: RetryCallState) -> Any:
    assert state.outcome is not None
    return state.outcome.result()
