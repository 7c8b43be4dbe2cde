"""What is wanted of each pipeline and what serves, as the sidecar's threads share it."""

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
    """One pipeline: its pointer, None once it is removed; what serves; and what was refused, and why."""

    pointer: Pointer | None = None
    serving: int | None = None
    shadow: int | None = None
    refused: dict[int, str] = field(default_factory=dict)
    switch_seconds: float = 0.0
    lost: bool = False

    def target(self) -> int | None:
        """The version that should serve: the wanted one, or where that was refused, a good one."""
        if self.pointer is None or self.pointer.version is None:
            return None
        for version in (self.pointer.version, self.serving, self.pointer.previous):
            if version is not None and version not in self.refused:
                return version
        return None

    def shadow_target(self) -> int | None:
        """The version that should score beside it."""
        shadow = None if self.pointer is None else self.pointer.shadow
        return None if shadow in self.refused else shadow

    def needed(self) -> list[int]:
        """The versions that must be on this disk."""
        return [version for version in (self.target(), self.shadow_target()) if version is not None]


class ServingState:
    """The pipelines by name, how often what failed, and what the steps left in `status/` of each pipeline.

    `known` is whether the pointers were ever read, by this process or by one before it. Hold `lock` to read
    more than one value, or to change one.
    """

    def __init__(self) -> None:
        """Know of nothing."""
        self.lock = threading.RLock()
        self.models: dict[str, ModelState] = {}
        self.failures: Counter[str] = Counter({"store": 0, "disk": 0, "triton": 0, "version": 0})
        self.read_at = 0.0
        self.statuses: dict[str, dict[str, dict[str, Any]]] = {}
        self.known = False
        self._was_ready = False

    def names(self) -> list[str]:
        """The pipelines, sorted."""
        with self.lock:
            return sorted(self.models)

    @contextmanager
    def model(self, pipeline: str) -> Iterator[ModelState]:
        """This pipeline's entry, made where there is none, under the lock."""
        with self.lock:
            yield self.models.setdefault(pipeline, ModelState())

    def pointers_read(self) -> None:
        """Every pointer was read just now."""
        with self.lock:
            self.read_at = time.time()
            self.known = True

    def failed(self, reason: str) -> None:
        """Count a failure: `store`, `disk`, `triton` or `version`."""
        with self.lock:
            self.failures[reason] += 1

    def refuse(self, pipeline: str, version: int, reason: str) -> None:
        """This version does not serve until the pointer or its manifest changes."""
        log.error("%s: version %d is refused: %s", pipeline, version, reason)
        with self.model(pipeline) as model:
            model.refused[version] = reason
        self.failed("version")

    def ready(self) -> bool:
        """Whether requests may come.

        Once every wanted model serves, or has no good version to serve; and from then on unless Triton lost
        what served.
        """
        with self.lock:
            models = self.models.values()
            if self.known and all(model.target() in (None, model.serving) for model in models):
                self._was_ready = True
            return self._was_ready and not any(model.lost for model in models)

    def status(self) -> dict[str, dict[str, Any]]:
        """For each pipeline what is wanted, what serves and what was refused."""
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
