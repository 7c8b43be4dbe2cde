"""Batches from an HTTP(S) server: one file for each period."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import requests
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema, RequestException, TooManyRedirects

from lifecycle.batches import Period
from lifecycle.exits import PermanentError, RetryableError
from lifecycle.retry import retry_until
from lifecycle.sources.raw_batch import BLOCK, RawBatch, read_table
from lifecycle.spec import HttpSource

PATIENCE = 30.0
"""Seconds that the server may be out of reach: a pod is there a moment before its firewall opens."""
SILENCE = 60.0
"""Seconds without a byte after which a response counts as failed."""
DURATION = 1800.0
"""Seconds that the download of a whole file may take."""
LARGEST = 4 << 30
"""Largest size of a file, in bytes."""

NOT_YET = (403, 404)
"""Status codes of a file that does not exist yet. Amazon S3 answers 403 instead of 404 to a client without
permission to list the bucket: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html"""
PASSING = (408, 425, 429)
"""Refusals that another try may not meet."""


def fetch(
    source: HttpSource,
    period: Period,
    wanted: Sequence[str],
    folder: Path,
    *,
    patience: float = PATIENCE,
    silence: float = SILENCE,
    duration: float = DURATION,
    largest: int = LARGEST,
) -> RawBatch:
    """Download a period's file into a folder and read the wanted columns.

    Args:
        source: URL template and format.
        period: The period whose file is downloaded.
        wanted: Names of the columns to read.
        folder: A temporary folder; the file is written there.
        patience: Seconds during which an unreachable server is tried again.
        silence: See SILENCE.
        duration: See DURATION.
        largest: See LARGEST.

    Raises:
        RetryableError: The file does not exist yet, or the server is unreachable, slow, reports an error or
            closes the connection early.
        PermanentError: The server refuses the request, or the file is too large or has another format.
    """
    url = period.render(source.url)
    path = folder / "batch"
    began = time.monotonic()
    with requests.Session() as session:
        try:
            answer = connect(session, url, silence, began + patience)
            with answer:
                refuse(answer, url)
                download(answer, url, path, began + duration, largest)
        except (InvalidSchema, InvalidURL, MissingSchema, TooManyRedirects) as error:
            raise PermanentError(f"{url} leads nowhere: {error}") from error
        except RequestException as error:
            raise RetryableError(f"{url} broke off: {error}") from error
    return read_table(path, source.format, wanted, url)


def connect(session: requests.Session, url: str, silence: float, deadline: float) -> requests.Response:
    """Return the head of an answer; ask again until the deadline where nobody answers."""
    # As it lies there: a file that the server packs for the way would have another length than it says.
    headers = {"Accept-Encoding": "identity"}
    ask = partial(session.get, url, headers=headers, stream=True, timeout=(10, silence))
    try:
        return retry_until(deadline, (requests.ConnectionError,), ask)
    except requests.ReadTimeout as error:
        raise RetryableError(f"{url} is slow: {error}") from error
    except requests.ConnectionError as error:
        raise RetryableError(f"{url} cannot be reached: {error}") from error


def refuse(answer: requests.Response, url: str) -> None:
    """Raise the error that fits the status code, unless it is 200."""
    status = answer.status_code
    if status in NOT_YET:
        raise RetryableError(f"not published yet, or not for us: {url} ({status})")
    if status in PASSING or status >= 500:
        raise RetryableError(f"{url} is not to be had now: {status} {answer.reason}")
    if status != requests.codes.ok:
        raise PermanentError(f"{url} is refused: {status} {answer.reason}")


def download(answer: requests.Response, url: str, path: Path, deadline: float, largest: int) -> None:
    """Write the response's body to a file.

    Raises:
        RetryableError: The download has not ended at `deadline` (time.monotonic).
        PermanentError: The body is larger than `largest` bytes.
        requests.RequestException: The connection broke, or the body is shorter than its Content-Length.
    """
    received = 0
    with path.open("wb") as file:
        for block in answer.iter_content(BLOCK):
            received += len(block)
            if received > largest:
                raise PermanentError(f"{url} is larger than {largest} bytes")
            if time.monotonic() > deadline:
                raise RetryableError(f"{url} is slow: {received} bytes came before its time was over")
            file.write(block)
