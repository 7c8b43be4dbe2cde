"""One bucket of the object store."""

import json
import time
from collections.abc import Iterable
from typing import Any, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError

from lifecycle.exits import PermanentError, RetryableError

PATIENCE = 30.0
"""Seconds, from the first call on, that the store may be away: a pod is there before its firewall opens."""

MISSING = ("404", "NoSuchKey")
TAKEN = ("412", "PreconditionFailed")
PASSING = (408, 409, 429)
"""Refusals that another try may not meet."""


class Store:
    """Objects of `bucket` below `prefix`; every key is relative to it.

    The address and the credentials are the environment's, as boto3 reads them
    (AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID …).

    Raises:
        RetryableError: From every method, when the store does not answer or answers with an error of its own.
        PermanentError: From every method, when the store refuses: no such bucket, no rights.
    """

    def __init__(self, bucket: str, prefix: str = "", patience: float = PATIENCE) -> None:
        """Connect to nothing yet. `prefix` ends in a slash, or is empty; `patience` is in seconds."""
        self.bucket = bucket
        self.prefix = prefix
        self._patience = patience
        self._deadline: float | None = None
        config = Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "max_attempts": 2},
            s3={"addressing_style": "path"},
            # Other stores than Amazon's do not all know the newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            # In the cluster the store is never behind a proxy, and its credentials are for nobody else.
            proxies={},
        )
        self._client: Any = boto3.session.Session().client("s3", config=config)

    def get(self, key: str) -> bytes | None:
        """Return an object's bytes, or None where there is none."""
        found = self._call("get_object", MISSING, Key=self.prefix + key)
        return None if found is None else cast(bytes, found["Body"])

    def get_json(self, key: str) -> dict[str, Any] | None:
        """Return a JSON object, or None where there is none.

        Raises:
            PermanentError: What lies there is no JSON object.
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
        """Write an object, whatever was there."""
        self._call("put_object", (), Key=self.prefix + key, Body=data)

    def put_json(self, key: str, value: dict[str, Any]) -> None:
        """Write a JSON object; NaN and infinities, which JSON lacks, raise ValueError."""
        self.put(key, json_bytes(value))

    def put_new(self, key: str, data: bytes) -> bool:
        """Write an object where there is none; False where there was one."""
        return self._call("put_object", TAKEN, Key=self.prefix + key, Body=data, IfNoneMatch="*") is not None

    def list(self, prefix: str = "") -> list[str]:
        """Return the keys that begin with `prefix`, sorted, relative to the store's own prefix."""
        keys: list[str] = []
        token: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", (), Prefix=self.prefix + prefix, **token)
            keys += [each["Key"].removeprefix(self.prefix) for each in page.get("Contents", [])]
            if not page["IsTruncated"]:
                return sorted(keys)
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; those that are not there are as good as removed."""
        for key in keys:
            self._call("delete_object", (), Key=self.prefix + key)

    def _call(self, operation: str, expected: tuple[str, ...], **arguments: Any) -> Any:
        """Return the store's answer, its body read, or None where it refused with an expected code."""
        if self._deadline is None:
            self._deadline = time.monotonic() + self._patience
        while True:
            try:
                answer = getattr(self._client, operation)(Bucket=self.bucket, **arguments)
                if "Body" in answer:
                    answer["Body"] = answer["Body"].read()
                return answer
            except ClientError as error:
                code = error.response["Error"].get("Code", "")
                if code in expected:
                    return None
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                if 400 <= status < 500 and status not in PASSING:
                    raise PermanentError(
                        f"the object store refuses s3://{self.bucket}/{self.prefix}: {error}"
                    ) from error
                failure: Exception = error
            except (NoCredentialsError, ParamValidationError) as error:
                raise PermanentError(f"the object store cannot be asked: {error}") from error
            except BotoCoreError as error:
                failure = error
            if time.monotonic() >= self._deadline:
                raise RetryableError(f"the object store does not answer: {failure}") from failure
            time.sleep(0.5)


def json_bytes(value: dict[str, Any]) -> bytes:
    """The bytes of a JSON object: the same for the same value."""
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()
