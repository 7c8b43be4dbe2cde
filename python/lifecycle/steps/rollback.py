"""Back to the version that served before, with all the checks of a deployment."""

import time
from typing import Any

from lifecycle.exits import PermanentError, RetryableError
from lifecycle.model_repository import Pointer, read_pointer
from lifecycle.steps.context import Context
from lifecycle.steps.deploy import change, move_aliases
from lifecycle.steps.tracking import Tracking


def run(context: Context) -> None:
    """Leave the pointer and the aliases on the version before, and `runs/<run>/rollback.json`.

    What served becomes the version before: another run goes forth again. The same run, repeated, does not.
    Where one ended between the pointer and the aliases, the next one, whichever it is, ends its work.

    Raises:
        RetryableError: MLflow or the object store is away, or the replicas did not follow in time. Nothing
            changed, or where MLflow went away behind the pointer, the message says so.
        PermanentError: There is no version before, or it does not serve as it should; nothing changed.
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
    # Asked before anything changes: a registry that is away must not leave half a rollback.
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
