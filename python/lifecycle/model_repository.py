"""The model repository in the object store: immutable versions, and the pointer to the version that serves.

All keys are relative to the pipeline's prefix in the bucket `models`: `Store("models", "<pipeline>/")`.
docs/lifecycle.md describes the layout.
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
"""Files that every version must have; it may have others."""


class BadVersion(Exception):
    """A version cannot serve; `reason` says why in one line."""

    def __init__(self, reason: str) -> None:
        """Store the reason as an attribute and as the message."""
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Pointer:
    """Content of `pointer.json`: the version to serve, the one that served before, and the shadow.

    Attributes:
        version: The version that the sidecars serve; None for none.
        previous: The version that a rollback returns to.
        shadow: The version that scores sampled requests without answering any client.
        changed_at: Time of the change, in seconds since 1970.
        by: The run or the person that made the change.
    """

    version: int | None
    previous: int | None = None
    shadow: int | None = None
    changed_at: float = 0.0
    by: str = ""

    @staticmethod
    def parse(data: bytes) -> "Pointer":
        """Parse the bytes of `pointer.json`.

        Raises:
            ValueError: They are not a JSON object, or a version is not a number of at least 1.
            TypeError: `changedAt` is neither a number nor a text.
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
        """Return the JSON object for `pointer.json`."""
        fields = asdict(self)
        fields["changedAt"] = fields.pop("changed_at")
        return fields


def write_version(store: Store, version: int, files: Mapping[str, bytes], meta: Mapping[str, Any]) -> None:
    """Write a version's files and then its manifest. Writing the same files again does nothing.

    Args:
        store: The pipeline's prefix of the bucket `models`.
        version: Its number in MLflow's registry.
        files: File names and contents.
        meta: Other fields of the manifest: `model`, `runId`, `run`, `batch`, `createdAt`.

    Raises:
        ValueError: One of `FILES` is missing.
        PermanentError: The version exists with other files.
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
        # Another process wrote the manifest first; that is fine if its files are the same.
        there = read_manifest(store, version)
    if there is None or there["files"] != hashes:
        raise PermanentError(
            f"version {version} of s3://{store.bucket}/{store.prefix} is there with other files, and "
            "versions never change: register a new one"
        )


def read_manifest(store: Store, version: int) -> dict[str, Any] | None:
    """Return a version's manifest, or None if the version is missing or was not written completely."""
    return store.get_json(_key(version, MANIFEST))


def read_version(store: Store, version: int) -> dict[str, bytes]:
    """Return the names and contents of a version's files, checked against its manifest.

    Raises:
        BadVersion: The manifest or a file is missing, or a file is not the one that the manifest names.
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
    """Parse a manifest and check that it belongs to this version and names every required file.

    Raises:
        BadVersion: It is not a complete manifest of this version.
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
    # The sidecar uses the names as file names: a slash would lead outside the version's folder.
    odd = [name for name in files if "/" in name or name.startswith(".")]
    if odd:
        raise BadVersion(f"{MANIFEST} names files that are no plain names: {', '.join(odd)}")
    return dict(manifest)


def verify(name: str, expected: Mapping[str, Any], size: int, sha256: str) -> None:
    """Compare a file's size in bytes and SHA-256 with the manifest's entry `expected`.

    Raises:
        BadVersion: The size or the hash differs.
    """
    if size != expected["bytes"]:
        raise BadVersion(f"{name} has {size} bytes, not {expected['bytes']}")
    if sha256 != expected["sha256"]:
        raise BadVersion(f"{name} has the hash {sha256[:12]}…, not {expected['sha256'][:12]}…")


def delete_version(store: Store, version: int) -> None:
    """Delete a version, its manifest first: a version without a manifest counts as missing."""
    manifest = _key(version, MANIFEST)
    store.delete([manifest])
    store.delete([key for key in store.list(_key(version, "")) if key != manifest])


def read_pointer(store: Store) -> Pointer | None:
    """Return the pointer, or None if there is none yet.

    Raises:
        PermanentError: `pointer.json` cannot be parsed.
    """
    data = store.get(POINTER)
    if data is None:
        return None
    try:
        return Pointer.parse(data)
    except (ValueError, TypeError) as error:
        raise PermanentError(f"s3://{store.bucket}/{store.prefix}{POINTER} is no pointer: {error}") from error


def write_pointer(store: Store, pointer: Pointer) -> None:
    """Write the pointer; the sidecars follow it within seconds."""
    store.put_json(POINTER, pointer.json())


def _described(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def _key(version: int, name: str) -> str:
    return f"versions/{version}/{name}"
