"""The reconciler: makes Triton serve the version that each pipeline's pointer names."""

import logging
import time
from collections import Counter

import numpy as np

from lifecycle.model_repository import BadVersion
from lifecycle.sidecar.drift_counters import DriftCounters
from lifecycle.sidecar.model_cache import ModelCache
from lifecycle.sidecar.model_version import ModelVersion, Rows
from lifecycle.sidecar.serving_state import ServingState
from lifecycle.sidecar.triton_client import Refused, TritonClient, Unavailable

# If Triton becomes unavailable this often while a version is tried, the version is taken for the cause.
DEATHS = 3

GOLDEN = "golden-"
"""Prefix of the ids of our own test requests; they are not counted."""

log = logging.getLogger("reconciler")


class Reconciler:
    """Loads, checks, switches and unloads versions. Only one thread may call it.

    Each tick compares with the list of models that Triton serves, so that models that Triton lost in a
    restart are loaded again from the local disk.
    """

    def __init__(
        self, triton: TritonClient, cache: ModelCache, state: ServingState, counters: DriftCounters
    ) -> None:
        """Restore the state that the last process saved in the cache."""
        self._triton = triton
        self._cache = cache
        self._state = state
        self._counters = counters
        self._deaths: Counter[tuple[str, int]] = Counter()
        self._cleared = False
        for pipeline in cache.pipelines():
            with state.model(pipeline) as model:
                model.serving = cache.serving(pipeline)
                model.pointer = cache.pointer(pipeline)
                model.lost = model.serving is not None
            state.known = True

    def tick(self) -> None:
        """Reconcile all pipelines once. Failures are counted, and the next tick tries again."""
        try:
            running = self._triton.serving()
            if not self._cleared:
                self._clear(running)
        except (Unavailable, Refused) as error:
            self._triton_unavailable(error)
            return
        for pipeline in self._state.names():
            try:
                self._reconcile(pipeline, running)
            except (Unavailable, Refused, OSError) as error:
                self._state.failed("triton")
                log.warning("%s: %s", pipeline, error)

    def _triton_unavailable(self, error: Exception) -> None:
        log.warning("Triton does not answer: %s", error)
        self._state.failed("triton")
        with self._state.lock:
            for model in self._state.models.values():
                model.lost = model.serving is not None

    def _clear(self, running: dict[str, set[int]]) -> None:
        """Unload candidates that a killed process left behind."""
        for name in running:
            if name.endswith("_candidate"):
                self._triton.unload(name)
        for folder in self._cache.root.glob("*_candidate"):
            self._cache.withdraw(folder.name)
        self._cleared = True

    def _reconcile(self, pipeline: str, running: dict[str, set[int]]) -> None:
        self._restore(pipeline, running.get(pipeline, set()))
        with self._state.model(pipeline) as model:
            removed, target, serving = model.pointer is None, model.target(), model.serving
            pointer = model.pointer
        if removed:
            self._remove(pipeline, running)
            return
        self._cache.note(pipeline, serving, pointer)
        if target is None and serving is not None:
            self._take_down(pipeline)
        elif target is not None and target != serving and self._cache.has(pipeline, target):
            self._switch(pipeline, target, serving)
        self._reconcile_shadow(pipeline, running.get(_shadow(pipeline), set()))
        with self._state.model(pipeline) as model:
            if model.pointer is not None and model.serving == model.target():
                wanted = (model.pointer.version, model.pointer.previous, model.pointer.shadow, model.serving)
                self._cache.keep(pipeline, [version for version in wanted if version is not None])

    def _restore(self, pipeline: str, running: set[int]) -> None:
        """Load the serving version again if Triton lost it; in a new process, start its counters."""
        with self._state.model(pipeline) as model:
            serving = model.serving
            model.lost = serving is not None and serving not in running
            lost = model.lost
        if serving is None or (not lost and self._counters.serves(pipeline, serving)):
            return
        try:
            version = self._cache.read(pipeline, serving)
            if lost:
                log.warning("%s: Triton lost version %d", pipeline, serving)
                self._cache.offer(pipeline, version)
                self._triton.load(pipeline)
                self._check(pipeline, version)
                self._cache.withdraw(pipeline, but=serving)
            self._triton.trace(pipeline, version.config.trace_one_in)
        except (BadVersion, Refused) as bad:
            # The local copy may be damaged: without it the downloader fetches the version again.
            log.error("%s: version %d does not serve again: %s", pipeline, serving, bad)
            self._state.failed("version")
            self._cache.drop(pipeline, serving)
            self._commit(pipeline, None)
            return
        self._commit(pipeline, version)

    def _switch(self, pipeline: str, number: int, old: int | None) -> None:
        began = time.monotonic()
        try:
            version = self._cache.read(pipeline, number)
            self._try_candidate(pipeline, version)
            self._change_over(pipeline, version, old)
        except (BadVersion, Refused) as bad:
            self._state.refuse(pipeline, number, str(bad))
            return
        self._commit(pipeline, version)
        self._cache.withdraw(pipeline, but=number)
        seconds = time.monotonic() - began
        with self._state.model(pipeline) as model:
            model.switch_seconds = seconds
        log.info("%s: version %d serves, after %.2f s; before it %s", pipeline, number, seconds, old)

    def _try_candidate(self, pipeline: str, version: ModelVersion) -> None:
        """Load a version under the candidate's name, beside the serving one, and check its golden answers."""
        name = f"{pipeline}_candidate"
        try:
            try:
                self._cache.offer(name, version)
                self._triton.load(name)
                self._check(name, version)
            finally:
                self._triton.unload(name)
                self._cache.withdraw(name)
        except Unavailable as error:
            self._deaths[pipeline, version.number] += 1
            if self._deaths[pipeline, version.number] < DEATHS:
                raise
            del self._deaths[pipeline, version.number]
            raise BadVersion(f"Triton went away {DEATHS} times while it was tried: {error}") from error

    def _change_over(self, pipeline: str, version: ModelVersion, old: int | None) -> None:
        """Load a version under the pipeline's name; on failure, load the version `old` again or unload."""
        self._cache.offer(pipeline, version)
        try:
            self._triton.load(pipeline)
            self._check(pipeline, version)
            self._triton.trace(pipeline, version.config.trace_one_in)
        except (BadVersion, Refused):
            if old is None:
                self._triton.unload(pipeline)
                self._cache.withdraw(pipeline)
            else:
                self._cache.offer(pipeline, self._cache.read(pipeline, old))
                self._triton.load(pipeline)
                self._cache.withdraw(pipeline, but=old)
            raise

    def _check(self, name: str, version: ModelVersion) -> None:
        """Send the golden inputs to a loaded model and check its answers."""
        answers = ask(self._triton, name, version, version.golden_inputs, f"{GOLDEN}{version.number}")
        version.check(answers)

    def _commit(self, pipeline: str, version: ModelVersion | None) -> None:
        number = None if version is None else version.number
        with self._state.model(pipeline) as model:
            model.serving = number
            model.lost = False
            pointer = model.pointer
        self._cache.note(pipeline, number, pointer)
        self._counters.serve(pipeline, version)

    def _take_down(self, pipeline: str) -> None:
        self._triton.unload(pipeline)
        self._cache.withdraw(pipeline)
        self._commit(pipeline, None)
        log.info("%s: nothing is to serve", pipeline)

    def _reconcile_shadow(self, pipeline: str, running: set[int]) -> None:
        name = _shadow(pipeline)
        with self._state.model(pipeline) as model:
            target, shadow = model.shadow_target(), model.shadow
        if target is None:
            if shadow is not None or running:
                self._triton.unload(name)
                self._cache.withdraw(name)
            self._commit_shadow(pipeline, None)
        elif self._cache.has(pipeline, target) and not (shadow == target and target in running):
            try:
                version = self._cache.read(pipeline, target)
                self._cache.offer(name, version)
                self._triton.load(name)
                self._check(name, version)
            except (BadVersion, Refused) as bad:
                self._state.refuse(pipeline, target, str(bad))
                self._triton.unload(name)
                self._cache.withdraw(name)
                self._commit_shadow(pipeline, None)
                return
            self._commit_shadow(pipeline, version)
            self._cache.withdraw(name, but=target)

    def _commit_shadow(self, pipeline: str, version: ModelVersion | None) -> None:
        with self._state.model(pipeline) as model:
            model.shadow = None if version is None else version.number
        self._counters.shadow(pipeline, version)

    def _remove(self, pipeline: str, running: dict[str, set[int]]) -> None:
        """Unload the models of a pipeline whose pointer was deleted, and forget the pipeline."""
        for name in (pipeline, _shadow(pipeline)):
            if name in running or self._cache.offers(name):
                self._triton.unload(name)
                self._cache.withdraw(name)
        self._counters.serve(pipeline, None)
        self._counters.shadow(pipeline, None)
        with self._state.lock:
            # The downloader may have read a new pointer meanwhile; the pipeline is then kept.
            if self._state.models[pipeline].pointer is None:
                del self._state.models[pipeline]
                self._state.statuses.pop(pipeline, None)
                self._cache.forget(pipeline)
        log.info("%s: removed", pipeline)


def ask(triton: TritonClient, name: str, version: ModelVersion, rows: Rows, request_id: str) -> Rows:
    """Send rows to a model in requests of at most its largest batch size.

    Args:
        triton: The client.
        name: Name of the model in Triton.
        version: The version that must answer; its config has the tensors' names.
        rows: Shape [rows, inputs], float32.
        request_id: Id of every request.

    Returns:
        The predictions, shape [rows, outputs], float32.

    Raises:
        Unavailable: Triton does not answer.
        Refused: Triton refuses a request.
    """
    config = version.config
    answers = [
        triton.ask(name, version.number, config.input, config.output, part, request_id)
        for part in np.split(rows, range(config.max_batch_size, len(rows), config.max_batch_size))
    ]
    return np.concatenate(answers)


def _shadow(pipeline: str) -> str:
    return f"{pipeline}_shadow"
