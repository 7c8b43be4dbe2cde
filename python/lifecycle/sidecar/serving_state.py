"""The state that the sidecar's threads share: the wanted and the serving version of each pipeline."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from lifecycle.model_repository import Pointer

log = logging.getLogger("serving_state")


@dataclass
class ModelState:
    """The state of one pipeline.

    Attributes:
        pointer: The pointer last read; None if it was deleted.
        serving: The version that serves, as far as this process knows.
        shadow: The version that scores as a shadow.
        refused: Reason for each version that is not tried again for now.
        switch_seconds: Duration of the last change of version.
        lost: Whether Triton no longer serves the version `serving`.
    """

    pointer: Pointer | None = None
    serving: int | None = None
    shadow: int | None = None
    refused: dict[int, str] = field(default_factory=dict)
    switch_seconds: float = 0.0
    lost: bool = False

    def target(self) -> int | None:
        """Return the version that should serve: the wanted one, or if it is refused, a fallback, or None."""
        if self.pointer is None or self.pointer.version is None:
            return None
        for version in (self.pointer.version, self.serving, self.pointer.previous):
            if version is not None and version not in self.refused:
                return version
        return None

    def shadow_target(self) -> int | None:
        """Return the version that should score as a shadow, or None."""
        shadow = None if self.pointer is None else self.pointer.shadow
        return None if shadow in self.refused else shadow

    def needed(self) -> list[int]:
        """Return the versions that must be on the local disk."""
        return [version for version in (self.target(), self.shadow_target()) if version is not None]


class ServingState:
    """The state of all pipelines. Hold `lock` to change a value, or to read several.

    Attributes:
        lock: A reentrant lock.
        models: The state of each pipeline, by its name.
        failures: Number of failures for each reason: `store`, `disk`, `triton`, `version`.
        read_at: Time when all pointers were last read, in seconds since 1970.
        statuses: For each pipeline the objects of `status/`, by name without `.json`.
        known: Whether the pointers were read by this process or by an earlier one.
    """

    def __init__(self) -> None:
        """Start without any pipeline."""
        self.lock = threading.RLock()
        self.models: dict[str, ModelState] = {}
        self.failures: Counter[str] = Counter({"store": 0, "disk": 0, "triton": 0, "version": 0})
        self.read_at = 0.0
        self.statuses: dict[str, dict[str, dict[str, Any]]] = {}
        self.known = False
        self._was_ready = False

    def names(self) -> list[str]:
        """Return the names of the pipelines, sorted."""
        with self.lock:
            return sorted(self.models)

    @contextmanager
    def model(self, pipeline: str) -> Iterator[ModelState]:
        """Hold the lock and yield this pipeline's state, which is created if it does not exist."""
        with self.lock:
            yield self.models.setdefault(pipeline, ModelState())

    def pointers_read(self) -> None:
        """Record that all pointers have just been read."""
        with self.lock:
            self.read_at = time.time()
            self.known = True

    def failed(self, reason: str) -> None:
        """Count a failure: `store`, `disk`, `triton` or `version`."""
        with self.lock:
            self.failures[reason] += 1

    def refuse(self, pipeline: str, version: int, reason: str) -> None:
        """Refuse a version: it is not tried again until the pointer or its manifest changes."""
        log.error("%s: version %d is refused: %s", pipeline, version, reason)
        with self.model(pipeline) as model:
            model.refused[version] = reason
        self.failed("version")

    def ready(self) -> bool:
        """Return whether this replica may receive requests.

        It is ready once every pipeline serves its target or has no good version. After that it stays ready,
        except while Triton has lost a serving version.
        """
        with self.lock:
            models = self.models.values()
            if self.known and all(model.target() in (None, model.serving) for model in models):
                self._was_ready = True
            return self._was_ready and not any(model.lost for model in models)

    def status(self) -> dict[str, dict[str, Any]]:
        """Return the wanted, serving, shadow and refused versions of each pipeline, for `/status`."""
        with self.lock:
            return {
                name: {
                    "wanted": None if model.pointer is None else model.pointer.version,
                    "serving": model.serving,
                    "shadow": model.shadow,
                    "refused": {str(version): reason for version, reason in model.refused.items()},
                }
                for name, model in sorted(self.models.items())
            }
