"""What every step is given."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lifecycle.exits import PermanentError
from lifecycle.spec import Spec
from lifecycle.store import Store


@dataclass(frozen=True)
class Context:
    """One run of one pipeline.

    `run` is safe as part of an object's key; `data` and `models` are the
    pipeline's own prefixes of the two buckets.
    """

    spec: Spec
    run: str
    batch: str
    model_path: Path
    data: Store
    models: Store
    environ: Mapping[str, str]

    def result(self, step: str) -> dict[str, Any]:
        """What an earlier step of this run left in `runs/<run>/<step>.json`.

        Raises:
            PermanentError: It left nothing.
        """
        found = self.data.get_json(self.key(f"{step}.json"))
        if found is None:
            raise PermanentError(f"run {self.run} has no {step}.json: the step '{step}' comes first")
        return found

    def key(self, name: str) -> str:
        """The key in `data` of a file of this run."""
        return f"runs/{self.run}/{name}"
