"""The input that every step gets."""

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

    Attributes:
        spec: The pipeline's spec.
        run: The run's name, encoded so that it can be part of an object's key.
        batch: The batch's name, as in `2024-01`.
        model_path: Path of the pipeline's model.py.
        data: The pipeline's prefix of the bucket for data.
        models: The pipeline's prefix of the bucket for models.
        environ: The environment variables.
    """

    spec: Spec
    run: str
    batch: str
    model_path: Path
    data: Store
    models: Store
    environ: Mapping[str, str]

    def result(self, step: str) -> dict[str, Any]:
        """Return `runs/<run>/<step>.json`, the result of an earlier step of this run.

        Raises:
            PermanentError: There is no such object: the step has not run yet.
        """
        found = self.data.get_json(self.key(f"{step}.json"))
        if found is None:
            raise PermanentError(f"run {self.run} has no {step}.json: the step '{step}' comes first")
        return found

    def key(self, name: str) -> str:
        """Return the key, in `data`, of a file of this run."""
        return f"runs/{self.run}/{name}"
