"""The step traffic: sends rows of a batch as requests to the served model, for a given time."""

import http.client
import json
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lifecycle.batches import Period
from lifecycle.exits import PermanentError, RetryableError
from lifecycle.model_repository import read_pointer
from lifecycle.names import ENVIRONMENT
from lifecycle.retry import retry_until
from lifecycle.steps import collect, expectations
from lifecycle.steps.context import Context
from lifecycle.steps.preprocess import shaped, usable
from lifecycle.steps.scoring import INPUT, Served, matrix
from lifecycle.user_code import UserCode

SETTLING = 3.0
"""Seconds until a new pod's network rules are stable: connections may work, then fail, then work for good."""
PATIENCE = 30.0
"""Seconds that Triton may be out of reach before the first answer."""
ASK_SECONDS = 10.0
PROGRESS_SECONDS = 10.0
ROWS = 8
"""Number of rows in a request; fewer if the model's largest batch is smaller."""


@dataclass(frozen=True)
class Load:
    """The traffic: for `seconds`, each of `clients` sends requests with pauses of `pause` seconds."""

    seconds: float
    clients: int
    pause: float


class Refused(Exception):
    """Triton answered with an HTTP status other than 200."""

    def __init__(self, status: int, reason: str) -> None:
        """Store the status; the message has both."""
        super().__init__(f"{status} {reason}")
        self.status = status


FAILURES = (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, Refused)
"""The exceptions with which a request fails."""


def run(context: Context, load: Load) -> None:
    """Send requests; print progress every ten seconds, and at the end one line of JSON. Nothing is stored.

    The batch is fetched from the source, so it need not have been collected.

    Raises:
        RetryableError: The source, the object store or Triton does not answer, or no request succeeded.
        PermanentError: The load is invalid, no version serves, the batch is bad or does not exist, or Triton
            refuses its rows.
    """
    _refuse(load)
    time.sleep(SETTLING)
    spec = context.spec
    pointer = read_pointer(context.models)
    if pointer is None or pointer.version is None:
        raise PermanentError(f"'{spec.name}' has no version that serves: there is nobody to ask")
    rows = questions(context)
    print(f"batch {context.batch}: {len(rows)} rows to ask with")
    deadline = time.monotonic() + PATIENCE
    clients = [Client(context, rows, seed) for seed in range(load.clients)]
    for client in clients:
        client.begin(deadline)
    tally = Tally()
    began = time.monotonic()
    with ThreadPoolExecutor(load.clients) as pool:
        asking = [pool.submit(client.go_on, began + load.seconds, load.pause, tally) for client in clients]
        while wait(asking, timeout=PROGRESS_SECONDS).not_done:
            print(f"{time.monotonic() - began:.0f} s: {tally.line()}")
        for each in asking:
            each.result()
    summary = tally.summary()
    print(json.dumps(summary))
    if not summary["versions"]:
        raise RetryableError(f"not one of {summary['requests']} requests was answered: {tally.why}")


def questions(context: Context) -> Served:
    """Return the features of the batch's good rows, float32, shape [rows, features].

    Raises:
        RetryableError: The source does not answer, or does not have the batch yet.
        PermanentError: The source refuses the request, the batch is bad, or the result of `features` does not
            fit the schema.
    """
    schema = context.spec.collection.schema
    period = Period.of(context.batch)
    with tempfile.TemporaryDirectory() as folder:
        raw_batch = collect.fetch(context, period, list(schema.columns), Path(folder))
    raw = expectations.check(raw_batch.table, schema, period).good
    user_code = UserCode.load(context.model_path)
    made = shaped(user_code.call(user_code.features, raw.copy()), raw, schema, str(user_code.path))
    good, reasons = usable(made, schema)
    what = f"what features in {user_code.path} made"
    expectations.tolerated(len(made) - len(good), len(made), reasons, schema.max_quarantined, what)
    return matrix(good, [each.name for each in schema.features])


class Tally:
    """Counts the requests of all clients; `why` is the error of the newest failed one. It is thread-safe."""

    def __init__(self) -> None:
        """Start with zero requests."""
        self.why = ""
        self._lock = threading.Lock()
        self._versions: dict[str, int] = {}
        self._failed = 0
        self._slowest: float | None = None

    def answered(self, version: str, seconds: float) -> None:
        """Count a successful request: the version that answered, and the seconds it took."""
        with self._lock:
            self._versions[version] = self._versions.get(version, 0) + 1
            self._slowest = max(seconds, self._slowest or 0.0)

    def failed(self, why: str) -> None:
        """Count a failed request and its error."""
        with self._lock:
            self._failed += 1
            self.why = why

    def summary(self) -> dict[str, Any]:
        """Return the object for the line of JSON; `slowestMs` is None if no request succeeded."""
        with self._lock:
            return {
                "requests": sum(self._versions.values()) + self._failed,
                "failed": self._failed,
                "versions": dict(sorted(self._versions.items(), key=lambda each: int(each[0]))),
                "slowestMs": None if self._slowest is None else round(1000 * self._slowest, 1),
            }

    def line(self) -> str:
        """Return the summary as a line of text."""
        summary = self.summary()
        answers = ", ".join(f"{count} by version {version}" for version, count in summary["versions"].items())
        failed = f"{summary['failed']} failed" + (f" (the newest: {self.why})" if self.why else "")
        slowest = "" if summary["slowestMs"] is None else f", the slowest after {summary['slowestMs']} ms"
        return f"{summary['requests']} requests, {failed}, answered: {answers or 'none'}{slowest}"


class Client:
    """One who asks with rows drawn at random, over a connection that is kept."""

    def __init__(self, context: Context, rows: Served, seed: int) -> None:
        """Connect to nothing yet. Of the same seed come the same rows."""
        serving = context.spec.serving
        self._where = context.environ.get(ENVIRONMENT.triton_http_url, "")
        self._path = f"/v2/models/{serving.model}/infer"
        self._rows = rows
        self._at_once = min(ROWS, serving.max_batch_size)
        self._random = np.random.default_rng(seed)
        # Not a cluster_session: requests silently replaces a connection that breaks between two requests.
        # http.client does not use a proxy either.
        self._connection = http.client.HTTPConnection(self._where, timeout=ASK_SECONDS)

    def begin(self, deadline: float) -> None:
        """Ask until there is an answer, so that nothing is counted before Triton is in reach.

        Raises:
            RetryableError: There was none before the deadline.
            PermanentError: Triton refuses these rows.
        """

        def reach() -> None:
            try:
                self.ask()
            except FAILURES as error:
                where = f"http://{self._where}{self._path}"
                if isinstance(error, Refused) and error.status < 500:
                    raise PermanentError(f"{where} refuses the rows: {error}") from error
                raise RetryableError(f"{where} does not answer: {error!r}") from error

        retry_until(deadline, (RetryableError,), reach)

    def go_on(self, end: float, pause: float, tally: Tally) -> None:
        """Send requests until `end` (time.monotonic) and count them; a failed request is not repeated."""
        while (asked := time.monotonic()) < end:
            try:
                version = self.ask()
            except FAILURES as error:
                tally.failed(repr(error))
            else:
                tally.answered(version, time.monotonic() - asked)
            time.sleep(pause)

    def ask(self) -> str:
        """The version that answered.

        Raises:
            FAILURES: None did.
        """
        rows = self._rows[self._random.integers(0, len(self._rows), self._at_once)]
        tensor = {"name": INPUT, "datatype": "FP32", "shape": list(rows.shape), "data": rows.ravel().tolist()}
        body = json.dumps({"id": f"traffic-{uuid.uuid4()}", "inputs": [tensor]})
        try:
            self._connection.request("POST", self._path, body, {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            content = answer.read()
        except FAILURES:
            # The next request has a connection of its own.
            self._connection.close()
            raise
        if answer.status != http.client.OK:
            raise Refused(answer.status, content.decode(errors="replace")[:300])
        return str(int(json.loads(content)["model_version"]))


def _refuse(load: Load) -> None:
    """Raise PermanentError if a value is out of range."""
    if not load.seconds > 0:
        raise PermanentError(f"--seconds must be above 0, got {load.seconds:g}")
    if load.clients < 1:
        raise PermanentError(f"--clients must be at least 1, got {load.clients}")
    if not load.pause >= 0:
        raise PermanentError(f"--pause must be at least 0 seconds, got {load.pause:g}")
