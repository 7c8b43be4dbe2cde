"""The step rollback: serve the previous version again, with the checks of a deployment."""

import time
from typing import Any

from lifecycle.exits import PermanentError, RetryableError
from lifecycle.model_repository import Pointer, read_pointer
from lifecycle.steps.context import Context
from lifecycle.steps.deploy import change, move_aliases
from lifecycle.steps.tracking import Tracking


def run(context: Context) -> None:
    """Move the pointer and the aliases to the previous version, and write `runs/<run>/rollback.json`.

    The version that served becomes `previous`, so that another rollback run returns to it; repeating the same
    run changes nothing. If a rollback was killed after it moved the pointer and before it moved the aliases,
    the next rollback run only moves the aliases.

    Raises:
        RetryableError: MLflow or the object store does not answer, or the replicas did not follow in time.
            Nothing changed, unless the message says that MLflow failed after the pointer was moved.
        PermanentError: There is no previous version, or it cannot be served; nothing changed.
    """
    done = context.data.get_json(context.key("rollback.json"))
    if done is not None:
        print(f"found: this run went back from version {done['from']} to {done['version']} before")
        return
    registry = Tracking(context.spec, context.environ)
    pointer = read_pointer(context.models)
    if pointer is None or pointer.version is None:
        raise PermanentError(
            f"'{context.spec.name}' has no version that serves: there is nothing to go back from"
        )
    if pointer.previous is None:
        raise PermanentError(
            f"version {pointer.version} is the first that serves: there is none to go back to"
        )
    # This call comes before any change: if MLflow does not answer, nothing must be rolled back.
    champion = registry.by_alias(registry.aliases.champion)
    by = f"rollback {context.run}"
    wanted = Pointer(pointer.previous, pointer.version, None, time.time(), by)
    unfinished = pointer.by.startswith("rollback ") and _names(champion, pointer.previous)
    if pointer.by == by or unfinished:
        print(f"found: the pointer went back to version {pointer.version}, the aliases have not followed yet")
        wanted = pointer
    change(context, wanted)
    try:
        move_aliases(registry, wanted)
    except (RetryableError, PermanentError) as end:
        raise type(end)(
            f"version {wanted.version} serves again, but MLflow's aliases do not say so: {end}; "
            "the same command again moves them"
        ) from end
    context.data.put_json(
        context.key("rollback.json"),
        {"run": context.run, "batch": context.batch, "version": wanted.version, "from": wanted.previous},
    )
    print(
        f"version {wanted.version} serves again instead of {wanted.previous}; "
        f"one more rollback goes back to {wanted.previous}"
    )


def _names(alias: Any | None, version: int) -> bool:
    return alias is not None and int(alias.version) == version
