"""The model repository in the object store: versions that never change, and the pointer to what serves.

Keys are relative to a pipeline's part of the models bucket: `Store("models", "<pipeline>/")`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lifecycle.exits import PermanentError
from lifecycle.store import Store, json_bytes

POINTER = "pointer.json"
MANIFEST = "manifest.json"
FILES = ("model.onnx", "baseline.json", "golden.json", "config.json")
"""What every version has; a version may have more."""


class BadVersion(Exception):
    """A version that cannot serve, and why, in one line."""

    def __init__(self, reason: str) -> None:
        """Keep the reason."""
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Pointer:
    """Which version is to serve, which did before, and which scores beside it.

    `changed_at` is in seconds since 1970, `by` names the run or the person.
    """

    version: int | None
    previous: int | None = None
    shadow: int | None = None
    changed_at: float = 0.0
    by: str = ""

    @staticmethod
    def parse(data: bytes) -> "Pointer":
        """Read what `pointer.json` holds.

        Raises:
            ValueError: It is no pointer.
        """
        fields = json.loads(data)
        if not isinstance(fields, dict):
            raise ValueError(f"'{POINTER}' must be a JSON object, got {fields!r}")
        for name in ("version", "previous", "shadow"):
            number = fields.get(name)
            if number is not None and (type(number) is not int or number < 1):
                raise ValueError(f"'{POINTER}': '{name}' must be a version's number or null, got {number!r}")
        return Pointer(
            version=fields.get("version"),
            previous=fields.get("previous"),
            shadow=fields.get("shadow"),
            changed_at=float(fields.get("changedAt", 0)),
            by=str(fields.get("by", "")),
        )

    def json(self) -> dict[str, Any]:
        """What `pointer.json` holds."""
        fields = asdict(self)
        fields["changedAt"] = fields.pop("changed_at")
        return fields


def write_version(store: Store, version: int, files: Mapping[str, bytes], meta: Mapping[str, Any]) -> None:
    """Write a version, its manifest last. The same version again is done already.

    Args:
        store: The pipeline's part of the models bucket.
        version: Its number in MLflow's registry.
        files: Name and content of each file.
        meta: What else the manifest says: `model`, `runId`, `run`, `batch`, `createdAt`.

    Raises:
        ValueError: A file that every version has is missing.
        PermanentError: The version is there, with other files.
    """
    missing = [name for name in FILES if name not in files]
    if missing:
        raise ValueError(f"version {version} needs {', '.join(FILES)}, got none of {', '.join(missing)}")
    hashes = {name: _described(content) for name, content in files.items()}
    there = read_manifest(store, version)
    if there is None:
        for name, content in files.items():
            store.put(_key(version, name), content)
        manifest = {"version": version, **meta, "files": hashes}
        if store.put_new(_key(version, MANIFEST), json_bytes(manifest)):
            return
        # Another run was faster; it is as good where it wrote the same.
        there = read_manifest(store, version)
    if there is None or there["files"] != hashes:
        raise PermanentError(
            f"version {version} of s3://{store.bucket}/{store.prefix} is there with other files, and "
            "versions never change: register a new one"
        )


def read_manifest(store: Store, version: int) -> dict[str, Any] | None:
    """The manifest of a version, or None where the version is missing or was not finished."""
    return store.get_json(_key(version, MANIFEST))


def read_version(store: Store, version: int) -> dict[str, bytes]:
    """Name and content of each file of a version, held against its manifest.

    Raises:
        BadVersion: It is missing, or what lies there is not what was written.
    """
    data = store.get(_key(version, MANIFEST))
    if data is None:
        raise BadVersion(f"version {version} has no {MANIFEST}")
    files = {}
    for name, expected in parse_manifest(version, data)["files"].items():
        content = store.get(_key(version, name))
        if content is None:
            raise BadVersion(f"{name} is missing")
        verify(name, expected, len(content), hashlib.sha256(content).hexdigest())
        files[name] = content
    return files


def parse_manifest(version: int, data: bytes) -> dict[str, Any]:
    """What a manifest says, once it is known to name every file.

    Raises:
        BadVersion: It is no manifest of this version.
    """
    try:
        manifest = json.loads(data)
        files = {
            str(name): (str(each["sha256"]), int(each["bytes"])) for name, each in manifest["files"].items()
        }
        number = manifest["version"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadVersion(f"{MANIFEST} cannot be read: {error!r}") from error
    if number != version:
        raise BadVersion(f"{MANIFEST} is that of version {number!r}, not of {version}")
    missing = [name for name in FILES if name not in files]
    if missing:
        raise BadVersion(f"{MANIFEST} does not name {', '.join(missing)}")
    # A name with a slash would be written outside the version's folder.
    odd = [name for name in files if "/" in name or name.startswith(".")]
    if odd:
        raise BadVersion(f"{MANIFEST} names files that are no plain names: {', '.join(odd)}")
    return dict(manifest)


def verify(name: str, expected: Mapping[str, Any], size: int, sha256: str) -> None:
    """Hold one file against the manifest.

    Raises:
        BadVersion: Its size or its hash is another.
    """
    if size != expected["bytes"]:
        raise BadVersion(f"{name} has {size} bytes, not {expected['bytes']}")
    if sha256 != expected["sha256"]:
        raise BadVersion(f"{name} has the hash {sha256[:12]}…, not {expected['sha256'][:12]}…")


def delete_version(store: Store, version: int) -> None:
    """Remove a version: the manifest first, so that nobody takes half of it for whole."""
    manifest = _key(version, MANIFEST)
    store.delete([manifest])
    store.delete([key for key in store.list(_key(version, "")) if key != manifest])


def read_pointer(store: Store) -> Pointer | None:
    """The pointer, or None where there is none yet.

    Raises:
        PermanentError: What lies there is no pointer.
    """
    data = store.get(POINTER)
    if data is None:
        return None
    try:
        return Pointer.parse(data)
    except (ValueError, TypeError) as error:
        raise PermanentError(f"s3://{store.bucket}/{store.prefix}{POINTER} is no pointer: {error}") from error


def write_pointer(store: Store, pointer: Pointer) -> None:
    """Make this the pointer: what serves follows within seconds."""
    store.put_json(POINTER, pointer.json())


def _described(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def _key(version: int, name: str) -> str:
    return f"versions/{version}/{name}"
