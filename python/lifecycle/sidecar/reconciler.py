"""Makes what Triton serves equal to what is wanted."""

import logging
import time
from collections import Counter

import numpy as np

from lifecycle.model_repository import BadVersion
from lifecycle.sidecar.drift_counters import Ledger
from lifecycle.sidecar.model_cache import Shelf
from lifecycle.sidecar.model_version import Rows, Version
from lifecycle.sidecar.serving_state import Standing
from lifecycle.sidecar.triton_client import Away, Refused, TritonControl

# A version during whose load Triton went away this often is taken to be the cause.
DEATHS = 3

GOLDEN = "golden-"
"""How the ids of requests begin that are no customer's: they are not counted."""

log = logging.getLogger("sync")


class Sync:
    """Loads, checks, changes over and unloads; one thread calls it.

    Triton is asked what it serves each time: whatever it lost is loaded again, from the disk.
    """

    def __init__(self, control: TritonControl, shelf: Shelf, standing: Standing, ledger: Ledger) -> None:
        """Take up what the last process noted."""
        self._control = control
        self._shelf = shelf
        self._standing = standing
        self._ledger = ledger
        self._deaths: Counter[tuple[str, int]] = Counter()
        self._cleared = False
        for pipeline in shelf.pipelines():
            with standing.model(pipeline) as model:
                model.serving = shelf.serving(pipeline)
                model.pointer = shelf.pointer(pipeline)
                model.lost = model.serving is not None
            standing.known = True

    def tick(self) -> None:
        """Once round. What fails is counted and tried again the next time."""
        try:
            running = self._control.serving()
            if not self._cleared:
                self._clear(running)
        except (Away, Refused) as error:
            self._away(error)
            return
        for pipeline in self._standing.names():
            try:
                self._reconcile(pipeline, running)
            except (Away, Refused, OSError) as error:
                self._standing.failed("triton")
                log.warning("%s: %s", pipeline, error)

    def _away(self, error: Exception) -> None:
        log.warning("Triton does not answer: %s", error)
        self._standing.failed("triton")
        with self._standing.lock:
            for model in self._standing.models.values():
                model.lost = model.serving is not None

    def _clear(self, running: dict[str, set[int]]) -> None:
        """Unload the candidates that a killed process left."""
        for name in running:
            if name.endswith("_candidate"):
                self._control.unload(name)
        for folder in self._shelf.root.glob("*_candidate"):
            self._shelf.withdraw(folder.name)
        self._cleared = True

    def _reconcile(self, pipeline: str, running: dict[str, set[int]]) -> None:
        self._restore(pipeline, running.get(pipeline, set()))
        with self._standing.model(pipeline) as model:
            removed, target, serving = model.pointer is None, model.target(), model.serving
            pointer = model.pointer
        if removed:
            self._remove(pipeline, running)
            return
        self._shelf.note(pipeline, serving, pointer)
        if target is None and serving is not None:
            self._take_down(pipeline)
        elif target is not None and target != serving and self._shelf.has(pipeline, target):
            self._switch(pipeline, target, serving)
        self._reconcile_shadow(pipeline, running.get(_shadow(pipeline), set()))
        with self._standing.model(pipeline) as model:
            if model.pointer is not None and model.serving == model.target():
                wanted = (model.pointer.version, model.pointer.previous, model.pointer.shadow, model.serving)
                self._shelf.keep(pipeline, [version for version in wanted if version is not None])

    def _restore(self, pipeline: str, running: set[int]) -> None:
        """Load again what served, where Triton lost it or this process is new."""
        with self._standing.model(pipeline) as model:
            serving = model.serving
            model.lost = serving is not None and serving not in running
            lost = model.lost
        if serving is None or (not lost and self._ledger.serves(pipeline, serving)):
            return
        try:
            version = self._shelf.read(pipeline, serving)
            if lost:
                log.warning("%s: Triton lost version %d", pipeline, serving)
                self._shelf.offer(pipeline, version)
                self._control.load(pipeline)
                self._check(pipeline, version)
                self._shelf.withdraw(pipeline, but=serving)
            self._control.trace(pipeline, version.config.trace_one_in)
        except (BadVersion, Refused) as bad:
            # The copy on this disk is broken: the one in the object store need not be.
            log.error("%s: version %d does not serve again: %s", pipeline, serving, bad)
            self._standing.failed("version")
            self._shelf.drop(pipeline, serving)
            self._commit(pipeline, None)
            return
        self._commit(pipeline, version)

    def _switch(self, pipeline: str, number: int, old: int | None) -> None:
        began = time.monotonic()
        try:
            version = self._shelf.read(pipeline, number)
            self._try_candidate(pipeline, version)
            self._change_over(pipeline, version, old)
        except (BadVersion, Refused) as bad:
            self._standing.refuse(pipeline, number, str(bad))
            return
        self._commit(pipeline, version)
        self._shelf.withdraw(pipeline, but=number)
        seconds = time.monotonic() - began
        with self._standing.model(pipeline) as model:
            model.switch_seconds = seconds
        log.info("%s: version %d serves, after %.2f s; before it %s", pipeline, number, seconds, old)

    def _try_candidate(self, pipeline: str, version: Version) -> None:
        """Load a version beside what serves, and ask it."""
        name = f"{pipeline}_candidate"
        try:
            try:
                self._shelf.offer(name, version)
                self._control.load(name)
                self._check(name, version)
            finally:
                self._control.unload(name)
                self._shelf.withdraw(name)
        except Away as error:
            self._deaths[pipeline, version.number] += 1
            if self._deaths[pipeline, version.number] < DEATHS:
                raise
            del self._deaths[pipeline, version.number]
            raise BadVersion(f"Triton went away {DEATHS} times while it was tried: {error}") from error

    def _change_over(self, pipeline: str, version: Version, old: int | None) -> None:
        """Load a version under the real name; where it fails there, what served before serves again."""
        self._shelf.offer(pipeline, version)
        try:
            self._control.load(pipeline)
            self._check(pipeline, version)
            self._control.trace(pipeline, version.config.trace_one_in)
        except (BadVersion, Refused):
            if old is None:
                self._control.unload(pipeline)
                self._shelf.withdraw(pipeline)
            else:
                self._shelf.offer(pipeline, self._shelf.read(pipeline, old))
                self._control.load(pipeline)
                self._shelf.withdraw(pipeline, but=old)
            raise

    def _check(self, name: str, version: Version) -> None:
        """Ask the golden questions."""
        answers = ask(self._control, name, version, version.golden_inputs, f"{GOLDEN}{version.number}")
        version.check(answers)

    def _commit(self, pipeline: str, version: Version | None) -> None:
        number = None if version is None else version.number
        with self._standing.model(pipeline) as model:
            model.serving = number
            model.lost = False
            pointer = model.pointer
        self._shelf.note(pipeline, number, pointer)
        self._ledger.serve(pipeline, version)

    def _take_down(self, pipeline: str) -> None:
        self._control.unload(pipeline)
        self._shelf.withdraw(pipeline)
        self._commit(pipeline, None)
        log.info("%s: nothing is to serve", pipeline)

    def _reconcile_shadow(self, pipeline: str, running: set[int]) -> None:
        name = _shadow(pipeline)
        with self._standing.model(pipeline) as model:
            target, shadow = model.shadow_target(), model.shadow
        if target is None:
            if shadow is not None or running:
                self._control.unload(name)
                self._shelf.withdraw(name)
            self._commit_shadow(pipeline, None)
        elif self._shelf.has(pipeline, target) and not (shadow == target and target in running):
            try:
                version = self._shelf.read(pipeline, target)
                self._shelf.offer(name, version)
                self._control.load(name)
                self._check(name, version)
            except (BadVersion, Refused) as bad:
                self._standing.refuse(pipeline, target, str(bad))
                self._control.unload(name)
                self._shelf.withdraw(name)
                self._commit_shadow(pipeline, None)
                return
            self._commit_shadow(pipeline, version)
            self._shelf.withdraw(name, but=target)

    def _commit_shadow(self, pipeline: str, version: Version | None) -> None:
        with self._standing.model(pipeline) as model:
            model.shadow = None if version is None else version.number
        self._ledger.shadow(pipeline, version)

    def _remove(self, pipeline: str, running: dict[str, set[int]]) -> None:
        """The pipeline is gone."""
        for name in (pipeline, _shadow(pipeline)):
            if name in running or self._shelf.offers(name):
                self._control.unload(name)
                self._shelf.withdraw(name)
        self._ledger.serve(pipeline, None)
        self._ledger.shadow(pipeline, None)
        with self._standing.lock:
            # Unless it came back meanwhile.
            if self._standing.models[pipeline].pointer is None:
                del self._standing.models[pipeline]
                self._standing.statuses.pop(pipeline, None)
                self._shelf.forget(pipeline)
        log.info("%s: removed", pipeline)


def ask(control: TritonControl, name: str, version: Version, rows: Rows, request_id: str) -> Rows:
    """The answers of a model to rows of any number, shape [rows, inputs], in requests that it takes."""
    config = version.config
    answers = [
        control.ask(name, version.number, config.input, config.output, part, request_id)
        for part in np.split(rows, range(config.max_batch_size, len(rows), config.max_batch_size))
    ]
    return np.concatenate(answers)


def _shadow(pipeline: str) -> str:
    return f"{pipeline}_shadow"
