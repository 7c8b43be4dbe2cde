"""The folder shared with Triton: verified versions, and the models that Triton is given of them.

`.versions/<pipeline>/<version>/` holds a version's files as they were published. A model that Triton serves
is `<name>/config.pbtxt` and `<name>/<version>/model.onnx`, a link to it. What serves and what is wanted is
noted in `.versions/<pipeline>/serving.json`, so that it is loaded again whatever restarts.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from lifecycle.model_repository import BadVersion, Pointer
from lifecycle.sidecar.model_version import ModelVersion

VERSIONS = ".versions"
NOTE = "serving.json"


class ModelCache:
    """What lies below the root of Triton's model repository.

    Only whole things are ever seen in it: each is written beside its place and then renamed.
    """

    def __init__(self, root: Path) -> None:
        """Take a folder, and clear what a killed process left half-written."""
        self.root = root
        self._versions = root / VERSIONS
        self._notes: dict[str, dict[str, Any]] = {}
        self._versions.mkdir(parents=True, exist_ok=True)
        for partial in self._versions.glob("*/*.partial"):
            shutil.rmtree(partial)

    def pipelines(self) -> list[str]:
        """The pipelines of which anything is here, sorted."""
        return sorted(folder.name for folder in self._versions.iterdir())

    def has(self, pipeline: str, version: int) -> bool:
        """Whether this version is here, whole."""
        return self._folder(pipeline, version).is_dir()

    def receive(self, pipeline: str, version: int, fill: Callable[[Path], None]) -> None:
        """Take in a version: `fill` writes its files, verified, into the folder it is given, or raises."""
        folder = self._folder(pipeline, version)
        partial = folder.with_name(f"{version}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            fill(partial)
            ModelVersion.read(partial, version)
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def read(self, pipeline: str, version: int) -> ModelVersion:
        """A version that is here.

        Raises:
            BadVersion: Its files can no longer be read.
        """
        try:
            return ModelVersion.read(self._folder(pipeline, version), version)
        except OSError as error:
            raise BadVersion(f"the copy on this disk cannot be read: {error}") from error

    def drop(self, pipeline: str, version: int) -> None:
        """Remove the copy of a version, if there is one."""
        shutil.rmtree(self._folder(pipeline, version), ignore_errors=True)

    def keep(self, pipeline: str, versions: Iterable[int]) -> None:
        """Remove every version of a pipeline but these."""
        kept = {str(version) for version in versions}
        for folder in self._versions.joinpath(pipeline).glob("[0-9]*"):
            if folder.name not in kept and not folder.name.endswith(".partial"):
                shutil.rmtree(folder)

    def offer(self, name: str, version: ModelVersion) -> None:
        """Write the model `name`, so that loading it serves this version; what else is there stays."""
        folder = self.root / name
        target = folder / str(version.number)
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        os.link(version.model, target / "model.onnx")
        _write(folder / "config.pbtxt", version.config.pbtxt(name, version.number))

    def withdraw(self, name: str, but: int | None = None) -> None:
        """Remove every version of the model `name` except `but`; without one, the model."""
        folder = self.root / name
        if but is None:
            shutil.rmtree(folder, ignore_errors=True)
            return
        for version in folder.glob("[0-9]*"):
            if version.name != str(but):
                shutil.rmtree(version)

    def offers(self, name: str) -> bool:
        """Whether a model of this name is here for Triton."""
        return (self.root / name).is_dir()

    def serving(self, pipeline: str) -> int | None:
        """The version that served when it was last noted."""
        number: int | None = self._noted(pipeline).get("serving")
        return number

    def pointer(self, pipeline: str) -> Pointer | None:
        """The pointer as it was last noted."""
        pointer = self._noted(pipeline).get("pointer")
        return None if pointer is None else Pointer.parse(json.dumps(pointer).encode())

    def note(self, pipeline: str, serving: int | None, pointer: Pointer | None) -> None:
        """Note what serves and what is wanted, for the next process; the same again costs nothing."""
        what = {"serving": serving, "pointer": None if pointer is None else pointer.json()}
        if self._notes.get(pipeline) != what:
            folder = self._versions / pipeline
            folder.mkdir(exist_ok=True)
            _write(folder / NOTE, json.dumps(what))
            self._notes[pipeline] = what

    def forget(self, pipeline: str) -> None:
        """Remove everything of a pipeline."""
        self._notes.pop(pipeline, None)
        shutil.rmtree(self._versions / pipeline, ignore_errors=True)

    def _noted(self, pipeline: str) -> dict[str, Any]:
        with suppress(FileNotFoundError):
            return dict(json.loads(self._versions.joinpath(pipeline, NOTE).read_bytes()))
        return {}

    def _folder(self, pipeline: str, version: int) -> Path:
        return self._versions / pipeline / str(version)


def _write(file: Path, text: str) -> None:
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(text)
    partial.replace(file)
