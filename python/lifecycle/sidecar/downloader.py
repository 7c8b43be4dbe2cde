"""The downloader: reads the pointers, and copies the versions they name to the local disk."""

import hashlib
import json
import logging
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from lifecycle.exits import PermanentError, RetryableError
from lifecycle.model_repository import MANIFEST, POINTER, BadVersion, Pointer, parse_manifest, verify
from lifecycle.sidecar.model_cache import ModelCache
from lifecycle.sidecar.serving_state import ServingState
from lifecycle.store import MISSING, Store

STATUS_SECONDS = 10.0
STATUSES = ("batch", "error", "gate")
CHUNK = 1024 * 1024

log = logging.getLogger("downloader")


class Unchanged(Enum):
    """Type of the value that `WatchedStore.changed` returns for an unchanged object."""

    UNCHANGED = "unchanged"


class WatchedStore(Store):
    """A store for polling: calls fail without retries, and unchanged objects are not sent again (by ETag).

    Raises:
        RetryableError: From every method defined here, if the store does not answer or refuses the request.
        PermanentError: From the methods of `Store`, if the store refuses the request.
    """

    def __init__(self, bucket: str) -> None:
        """Watch a whole bucket."""
        super().__init__(bucket, patience=0)
        self._etags: dict[str, str] = {}

    def pipelines(self) -> list[str]:
        """Return the first folders of all keys: the names of the pipelines."""
        names: list[str] = []
        token: dict[str, str] = {}
        while True:
            page = self._ask("list_objects_v2", Delimiter="/", **token)
            names += [each["Prefix"].removesuffix("/") for each in page.get("CommonPrefixes", [])]
            if not page["IsTruncated"]:
                return names
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def changed(self, key: str) -> bytes | Unchanged | None:
        """Return an object's bytes, None if it does not exist, or UNCHANGED if the last call returned it."""
        etag = self._etags.get(key)
        known = {} if etag is None else {"IfNoneMatch": etag}
        try:
            answer = self._ask("get_object", Key=key, **known)
            data: bytes = answer["Body"].read()
        except ClientError as error:
            code = error.response["Error"].get("Code", "")
            if code == "304":
                return Unchanged.UNCHANGED
            if code in MISSING:
                self._etags.pop(key, None)
                return None
            raise RetryableError(f"the object store refuses s3://{self.bucket}/{key}: {error}") from error
        except BotoCoreError as error:
            raise RetryableError(f"the object store does not answer: {error}") from error
        self._etags[key] = answer["ETag"]
        return data

    def download(self, key: str, file: Path) -> tuple[int, str] | None:
        """Write an object to a file; return its size in bytes and SHA-256, or None if it does not exist."""
        digest = hashlib.sha256()
        size = 0
        try:
            body = self._ask("get_object", Key=key)["Body"]
            with file.open("wb") as out:
                for chunk in body.iter_chunks(CHUNK):
                    out.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
        except ClientError as error:
            if error.response["Error"].get("Code", "") in MISSING:
                return None
            raise RetryableError(f"the object store refuses s3://{self.bucket}/{key}: {error}") from error
        except BotoCoreError as error:
            raise RetryableError(f"the object store does not answer: {error}") from error
        return size, digest.hexdigest()

    def forget(self, key: str) -> None:
        """Make the next `changed` return this object's bytes even if it is unchanged."""
        self._etags.pop(key, None)

    def _ask(self, operation: str, **arguments: Any) -> Any:
        """Call the store once.

        Raises:
            ClientError: The object is missing or unchanged.
            RetryableError: Any other failure.
        """
        try:
            return getattr(self._client, operation)(Bucket=self.bucket, **arguments)
        except ClientError as error:
            if error.response["Error"].get("Code", "") in ("304", *MISSING):
                raise
            raise RetryableError(f"the object store refuses s3://{self.bucket}: {error}") from error
        except BotoCoreError as error:
            raise RetryableError(f"the object store does not answer: {error}") from error


class Downloader:
    """Polls the pointers and the objects in `status/`, and downloads the versions that the state needs."""

    def __init__(
        self, store: WatchedStore, cache: ModelCache, state: ServingState, arrived: Callable[[], None]
    ) -> None:
        """Connect the parts; `arrived` is called when a pointer changed, and when a download ended."""
        self._store = store
        self._cache = cache
        self._state = state
        self._arrived = arrived
        self._statuses_at = -STATUS_SECONDS

    def tick(self) -> None:
        """Poll once. Failures are counted, and the next tick tries again."""
        try:
            pipelines = sorted({*self._store.pipelines(), *self._state.names()})
            for pipeline in pipelines:
                self._read_pointer(pipeline)
            self._state.pointers_read()
            for pipeline in pipelines:
                self._try_again_what_changed(pipeline)
                self._download(pipeline)
            if time.monotonic() - self._statuses_at >= STATUS_SECONDS:
                self._read_statuses(pipelines)
                self._statuses_at = time.monotonic()
        except (RetryableError, PermanentError) as error:
            self._state.failed("store")
            log.warning("%s", error)
        except OSError as error:
            # For example a full disk. Triton goes on serving.
            self._state.failed("disk")
            log.error("%s", error)

    def _read_pointer(self, pipeline: str) -> None:
        found = self._store.changed(f"{pipeline}/{POINTER}")
        if found is Unchanged.UNCHANGED:
            return
        if found is None:
            with self._state.lock:
                model = self._state.models.get(pipeline)
                if model is not None:
                    model.pointer = None
            return
        try:
            pointer = Pointer.parse(found)
        except (ValueError, TypeError) as error:
            # The pointer read before stays valid until a readable one is written.
            self._state.failed("version")
            log.error("%s: %s", pipeline, error)
            return
        with self._state.model(pipeline) as model:
            new, same = model.pointer is None, model.pointer == pointer
            model.pointer = pointer
            again = [] if same else list(model.refused)
            for version in again:
                del model.refused[version]
        for version in again:
            self._cache.drop(pipeline, version)
        if new:
            # The pipeline may have been removed before, and its statuses with it: read them again.
            for name in STATUSES:
                self._store.forget(_status(pipeline, name))
        self._arrived()

    def _try_again_what_changed(self, pipeline: str) -> None:
        """Forget the refusal of each version whose manifest changed, so that it is tried again."""
        with self._state.lock:
            model = self._state.models.get(pipeline)
            refused = [] if model is None else list(model.refused)
        for version in refused:
            if isinstance(self._store.changed(_key(pipeline, version, MANIFEST)), bytes):
                self._cache.drop(pipeline, version)
                with self._state.model(pipeline) as model:
                    model.refused.pop(version, None)

    def _download(self, pipeline: str) -> None:
        """Download the versions that the state needs; a refused one changes what is needed, so look again."""
        while True:
            with self._state.lock:
                known = self._state.models.get(pipeline)
                needed = [] if known is None else known.needed()
            missing = [version for version in needed if not self._cache.has(pipeline, version)]
            if not missing:
                return
            version = missing[0]
            try:
                self._receive(pipeline, version)
                log.info("%s: version %d is here", pipeline, version)
            except BadVersion as bad:
                self._state.refuse(pipeline, version, bad.reason)
            self._arrived()

    def _receive(self, pipeline: str, version: int) -> None:
        key = _key(pipeline, version, MANIFEST)
        self._store.forget(key)
        data = self._store.changed(key)
        if not isinstance(data, bytes):
            raise BadVersion(f"version {version} has no {MANIFEST}")
        manifest = parse_manifest(version, data)

        def fill(folder: Path) -> None:
            for name, expected in manifest["files"].items():
                got = self._store.download(_key(pipeline, version, name), folder / name)
                if got is None:
                    raise BadVersion(f"{name} is missing")
                verify(name, expected, *got)

        self._cache.receive(pipeline, version, fill)

    def _read_statuses(self, pipelines: list[str]) -> None:
        for pipeline in pipelines:
            for name in STATUSES:
                found = self._store.changed(_status(pipeline, name))
                if isinstance(found, bytes):
                    self._keep_status(pipeline, name, found)

    def _keep_status(self, pipeline: str, name: str, data: bytes) -> None:
        try:
            fields = json.loads(data)
        except ValueError as error:
            log.error("%s/status/%s.json: %s", pipeline, name, error)
            return
        if isinstance(fields, dict):
            with self._state.lock:
                self._state.statuses.setdefault(pipeline, {})[name] = fields


def _status(pipeline: str, name: str) -> str:
    return f"{pipeline}/status/{name}.json"


def _key(pipeline: str, version: int, name: str) -> str:
    return f"{pipeline}/versions/{version}/{name}"
