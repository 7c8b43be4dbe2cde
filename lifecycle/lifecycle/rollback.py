"""Back to the version that served before, with all the checks of a deployment."""

import time

from lifecycle.context import Context
from lifecycle.deploy import change, move_aliases
from lifecycle.exits import Stopped
from lifecycle.repository import Pointer, read_pointer
from lifecycle.tracking import Tracking


def run(context: Context) -> None:
    """Leave the pointer and the aliases on the version before, and `runs/<run>/rollback.json`.

    What served becomes the version before: another run goes forth again. The same run, repeated, does not.

    Raises:
        Later: MLflow or the object store is away, or the replicas did not follow in time; nothing changed.
        Stopped: There is no version before, or it does not serve as it should; nothing changed.
    """
    done = context.data.get_json(context.key("rollback.json"))
    if done is not None:
        print(f"found: this run went back from version {done['from']} to {done['version']} before")
        return
    registry = Tracking(context.spec, context.environ)
    pointer = read_pointer(context.models)
    if pointer is None or pointer.version is None:
        raise Stopped(f"'{context.spec.name}' has no version that serves: there is nothing to go back from")
    if pointer.previous is None:
        raise Stopped(f"version {pointer.version} is the first that serves: there is none to go back to")
    by = f"rollback {context.run}"
    wanted = Pointer(pointer.previous, pointer.version, None, time.time(), by)
    # Killed behind its own pointer, it goes on.
    wanted = pointer if pointer.by == by else wanted
    change(context, wanted)
    move_aliases(registry, wanted)
    context.data.put_json(
        context.key("rollback.json"),
        {"run": context.run, "batch": context.batch, "version": wanted.version, "from": wanted.previous},
    )
    print(
        f"version {wanted.version} serves again instead of {wanted.previous}; "
        f"one more rollback goes back to {wanted.previous}"
    )
