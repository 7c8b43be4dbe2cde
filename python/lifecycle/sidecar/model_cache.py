"""The folder shared with Triton: downloaded versions, and Triton's model repository made from them.

`.versions/<pipeline>/<version>/` holds a version's files as they were published. A model that Triton can load
is `<name>/config.pbtxt` and `<name>/<version>/model.onnx`, a hard link to the version's file; Triton
documents this layout:
https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_repository.md
`.versions/<pipeline>/serving.json` saves the serving version and the pointer, so that a restarted process
loads the same version without the object store.
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
    """The files below the root of Triton's model repository.

    Versions and single files are written under a temporary name and renamed, so that they are never seen
    incomplete.
    """

    def __init__(self, root: Path) -> None:
        """Use the folder `root`, and delete incomplete versions that a killed process left."""
        self.root = root
        self._versions = root / VERSIONS
        self._notes: dict[str, dict[str, Any]] = {}
        self._versions.mkdir(parents=True, exist_ok=True)
        for partial in self._versions.glob("*/*.partial"):
            shutil.rmtree(partial)

    def pipelines(self) -> list[str]:
        """Return the pipelines that have files here, sorted."""
        return sorted(folder.name for folder in self._versions.iterdir())

    def has(self, pipeline: str, version: int) -> bool:
        """Return whether this version is on the disk."""
        return self._folder(pipeline, version).is_dir()

    def receive(self, pipeline: str, version: int, fill: Callable[[Path], None]) -> None:
        """Add a version to the cache.

        Args:
            pipeline: Its name.
            version: Its number.
            fill: Writes the version's verified files into the folder that it is called with, or raises.

        Raises:
            BadVersion: The files cannot be read as a version. Errors of `fill` pass through.
        """
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
        """Read a version from the disk.

        Raises:
            BadVersion: Its files cannot be read.
        """
        try:
            return ModelVersion.read(self._folder(pipeline, version), version)
        except OSError as error:
            raise BadVersion(f"the copy on this disk cannot be read: {error}") from error

    def drop(self, pipeline: str, version: int) -> None:
        """Delete a version from the disk; a missing one is no error."""
        shutil.rmtree(self._folder(pipeline, version), ignore_errors=True)

    def keep(self, pipeline: str, versions: Iterable[int]) -> None:
        """Delete all versions of a pipeline except these."""
        kept = {str(version) for version in versions}
        for folder in self._versions.joinpath(pipeline).glob("[0-9]*"):
            if folder.name not in kept and not folder.name.endswith(".partial"):
                shutil.rmtree(folder)

    def offer(self, name: str, version: ModelVersion) -> None:
        """Write Triton's model `name` so that loading it serves this version; its other versions stay."""
        folder = self.root / name
        target = folder / str(version.number)
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        os.link(version.model, target / "model.onnx")
        _write(folder / "config.pbtxt", version.config.pbtxt(name, version.number))

    def withdraw(self, name: str, but: int | None = None) -> None:
        """Delete all versions of Triton's model `name` except `but`; without `but`, the whole model."""
        folder = self.root / name
        if but is None:
            shutil.rmtree(folder, ignore_errors=True)
            return
        for version in folder.glob("[0-9]*"):
            if version.name != str(but):
                shutil.rmtree(version)

    def offers(self, name: str) -> bool:
        """Return whether Triton's model repository has a model of this name."""
        return (self.root / name).is_dir()

    def serving(self, pipeline: str) -> int | None:
        """Return the serving version that was last saved, or None."""
        number: int | None = self._noted(pipeline).get("serving")
        return number

    def pointer(self, pipeline: str) -> Pointer | None:
        """Return the pointer that was last saved, or None."""
        pointer = self._noted(pipeline).get("pointer")
        return None if pointer is None else Pointer.parse(json.dumps(pointer).encode())

    def note(self, pipeline: str, serving: int | None, pointer: Pointer | None) -> None:
        """Save the serving version and the pointer for the next process; unchanged values are not written."""
        what = {"serving": serving, "pointer": None if pointer is None else pointer.json()}
        if self._notes.get(pipeline) != what:
            folder = self._versions / pipeline
            folder.mkdir(exist_ok=True)
            _write(folder / NOTE, json.dumps(what))
            self._notes[pipeline] = what

    def forget(self, pipeline: str) -> None:
        """Delete all versions and the saved state of a pipeline."""
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
