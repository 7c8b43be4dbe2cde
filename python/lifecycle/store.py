"""One bucket of the object store."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError

from lifecycle.exits import PermanentError, RetryableError
from lifecycle.retry import retry_until

PATIENCE = 30.0
"""Seconds, from the first call on, that the store may be away: a pod is there before its firewall opens."""

MISSING = ("404", "NoSuchKey")
TAKEN = ("412", "PreconditionFailed")
PASSING = (408, 409, 429)
"""Refusals that another try may not meet."""


class Store:
    """The objects of `bucket` below `prefix`. All keys are relative to the prefix.

    boto3 reads the address and the credentials from the environment (AWS_ENDPOINT_URL_S3,
    AWS_ACCESS_KEY_ID …).

    Raises:
        RetryableError: From every method, if the store does not answer or reports a server error.
        PermanentError: From every method, if the store refuses the request: no such bucket, no permission.
    """

    def __init__(self, bucket: str, prefix: str = "", patience: float = PATIENCE) -> None:
        """Create the client; no request is sent yet.

        Args:
            bucket: The bucket's name.
            prefix: Ends in a slash, or is empty.
            patience: Seconds, from the first call on, during which an unreachable store is tried again.
        """
        self.bucket = bucket
        self.prefix = prefix
        self._patience = patience
        self._deadline: float | None = None
        config = Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "max_attempts": 2},
            s3={"addressing_style": "path"},
            # Not every S3 store other than Amazon's supports the checksums that botocore sends by default.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            # No proxy: the store is reached directly, and nobody else should see the signed requests.
            proxies={},
        )
        self._client: Any = boto3.session.Session().client("s3", config=config)

    def get(self, key: str) -> bytes | None:
        """Return an object's bytes, or None if it does not exist."""
        found = self._call("get_object", MISSING, Key=self.prefix + key)
        return None if found is None else cast(bytes, found["Body"])

    def get_json(self, key: str) -> dict[str, Any] | None:
        """Return a JSON object, or None if it does not exist.

        Raises:
            PermanentError: The content is not a JSON object.
        """
        found = self.get(key)
        if found is None:
            return None
        try:
            parsed = json.loads(found)
        except ValueError as error:
            raise PermanentError(f"s3://{self.bucket}/{self.prefix}{key} is no JSON: {error}") from error
        if not isinstance(parsed, dict):
            raise PermanentError(f"s3://{self.bucket}/{self.prefix}{key} is no JSON object")
        return parsed

    def put(self, key: str, data: bytes) -> None:
        """Write an object and replace an existing one."""
        self._call("put_object", (), Key=self.prefix + key, Body=data)

    def put_json(self, key: str, value: dict[str, Any]) -> None:
        """Write a JSON object and replace an existing one.

        Raises:
            ValueError: A number is NaN or infinite, which JSON cannot represent.
        """
        self.put(key, json_bytes(value))

    def put_new(self, key: str, data: bytes) -> bool:
        """Write an object unless the key exists; return whether it was written."""
        return self._call("put_object", TAKEN, Key=self.prefix + key, Body=data, IfNoneMatch="*") is not None

    def list(self, prefix: str = "") -> list[str]:
        """Return the keys that begin with `prefix`, sorted, relative to the store's own prefix."""
        return sorted(self.walk(prefix))

    def walk(self, prefix: str) -> Iterator[str]:
        """Yield the keys that begin with `prefix` page by page, in S3's order (sorted by UTF-8 bytes)."""
        for page in self._pages(Prefix=self.prefix + prefix):
            yield from (each["Key"].removeprefix(self.prefix) for each in page.get("Contents", []))

    def folders(self, prefix: str) -> Sequence[str]:
        """Return the folders directly below `prefix`, each with its slash, relative to the store's prefix."""
        pages = self._pages(Prefix=self.prefix + prefix, Delimiter="/")
        found = [each["Prefix"] for page in pages for each in page.get("CommonPrefixes", [])]
        return [each.removeprefix(self.prefix) for each in found]

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; missing ones are no error."""
        for key in keys:
            self._call("delete_object", (), Key=self.prefix + key)

    def _pages(self, **arguments: str) -> Iterator[dict[str, Any]]:
        token: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", (), **arguments, **token)
            yield page
            if not page["IsTruncated"]:
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _call(self, operation: str, expected: tuple[str, ...], **arguments: Any) -> Any:
        """Return the store's answer, its body read, or None where it refused with an expected code."""
        if self._deadline is None:
            self._deadline = time.monotonic() + self._patience
        ask = partial(self._once, operation, expected, arguments)
        try:
            return retry_until(self._deadline, (ClientError, BotoCoreError), ask)
        except (ClientError, BotoCoreError) as error:
            raise RetryableError(f"the object store does not answer: {error}") from error

    def _once(self, operation: str, expected: tuple[str, ...], arguments: dict[str, Any]) -> Any:
        """Send one request; it raises boto's own errors only where another request may succeed."""
        try:
            answer = getattr(self._client, operation)(Bucket=self.bucket, **arguments)
            if "Body" in answer:
                answer["Body"] = answer["Body"].read()
            return answer
        except ClientError as error:
            if error.response["Error"].get("Code", "") in expected:
                return None
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if 400 <= status < 500 and status not in PASSING:
                raise PermanentError(
                    f"the object store refuses s3://{self.bucket}/{self.prefix}: {error}"
                ) from error
            raise
        except (NoCredentialsError, ParamValidationError) as error:
            raise PermanentError(f"the object store cannot be asked: {error}") from error


def json_bytes(value: dict[str, Any]) -> bytes:
    """Serialize a JSON object deterministically: indented, with sorted keys and a final newline.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()
