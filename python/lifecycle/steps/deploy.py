"""The sixth step: the pointer moves, every replica follows and answers well, or the pointer goes back."""

import http.client
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

import numpy as np

from lifecycle.exits import GateRejected, PermanentError, RetryableError
from lifecycle.model_repository import (
    POINTER,
    BadVersion,
    Pointer,
    delete_version,
    read_pointer,
    read_version,
    write_pointer,
)
from lifecycle.names import ENVIRONMENT
from lifecycle.steps.context import Context
from lifecycle.steps.replicas import replicas
from lifecycle.steps.tolerance import distance
from lifecycle.steps.tracking import Tracking

SECONDS = 600.0
POLL_SECONDS = 0.5
ASK_SECONDS = 10.0
REPEATS = 5
"""How often a replica is asked the golden questions, on average: the Service chooses who answers."""

QUESTION = "golden-deploy"
"""Id of every golden question: the sidecar counts none that begins so as traffic."""

BEFORE = "before.json"
"""Under `runs/<run>/`: the pointer as it was, to be put back."""


@dataclass(frozen=True)
class Golden:
    """Questions of shape [rows, inputs] for the tensor `input`, and what to expect from the tensor `output`.

    `rows` is how many may be asked at once; an answer may differ by `tolerance`, times its size above 1.
    """

    inputs: list[list[float]]
    outputs: list[list[float]]
    tolerance: float
    input: str
    output: str
    rows: int


def run(context: Context) -> None:
    """Leave the pointer and the aliases on this run's version, and `runs/<run>/deploy.json`.

    Raises:
        GateRejected: The gate kept the champion.
        RetryableError: MLflow or the object store is away, or the replicas did not follow in DEPLOY_SECONDS;
            then the pointer was put back.
        PermanentError: A replica refused the version or answers wrongly, and the pointer was put back; or
            another version was deployed meanwhile.
    """
    decided = context.result("gate")
    version = int(decided["version"])
    if not decided["promoted"]:
        raise GateRejected(decided["reason"])
    if context.data.get_json(context.key("deploy.json")) is not None:
        print(f"found: this run deployed version {version} before")
        return
    # First of all: with MLflow away the aliases could not follow the pointer.
    registry = Tracking(context.spec, context.environ)
    pointer = read_pointer(context.models)
    if pointer is not None:
        _refuse(context, pointer, version)
    by = f"run {context.run}"
    if pointer is None:
        wanted = Pointer(version, changed_at=time.time(), by=by)
    elif (pointer.version, pointer.by) == (version, by):
        wanted = pointer
    else:
        shadow = None if pointer.shadow == version else pointer.shadow
        previous = pointer.previous if pointer.version == version else pointer.version
        wanted = Pointer(version, previous, shadow, time.time(), by)
    began = time.monotonic()
    followed = change(context, wanted)
    move_aliases(registry, wanted)
    registry.drop_alias(registry.aliases.challenger, version)
    _delete_old_versions(context, registry, wanted)
    seconds = time.monotonic() - began
    context.data.put_json(
        context.key("deploy.json"),
        {
            "run": context.run,
            "batch": context.batch,
            "version": version,
            "previous": wanted.previous,
            "replicas": followed,
            "seconds": seconds,
            "deployedAt": time.time(),
        },
    )
    registry.print_page_url(str(context.result("register")["runId"]))
    print(
        f"version {version} serves in {followed} replicas after {seconds:.1f} s, instead of {wanted.previous}"
    )


def change(context: Context, wanted: Pointer) -> int:
    """Make this the pointer, once every replica serves its version and answers as it should.

    Killed and called again with the pointer that it wrote, it goes on.

    Returns:
        How many replicas there are.

    Raises:
        RetryableError: They did not follow in time; the pointer is as it was.
        PermanentError: One refused the version or answers wrongly; the pointer is as it was.
    """
    assert wanted.version is not None
    golden = _golden(context, wanted.version)
    there = read_pointer(context.models)
    if there != wanted:
        context.data.put_json(context.key(BEFORE), {"pointer": None if there is None else there.json()})
        write_pointer(context.models, wanted)
    deadline = time.monotonic() + float(context.environ.get("DEPLOY_SECONDS", SECONDS))
    try:
        followed = _await_replicas(context, wanted.version, deadline)
        for _ in range(REPEATS * followed):
            _ask_golden(context, wanted.version, golden, deadline)
    except (PermanentError, RetryableError) as end:
        raise type(end)(f"{end}; {_put_back(context, wanted)}") from end
    print(f"{followed} replicas serve version {wanted.version}, golden answers as they should be")
    return followed


def move_aliases(registry: Tracking, pointer: Pointer) -> None:
    """Let MLflow's aliases say what the pointer says."""
    assert pointer.version is not None
    if pointer.previous is not None and registry.version(pointer.previous) is not None:
        registry.set_alias(registry.aliases.previous, pointer.previous)
    registry.set_alias(registry.aliases.champion, pointer.version)


def _refuse(context: Context, pointer: Pointer, version: int) -> None:
    """An older decision must not undo a newer one."""
    newer = pointer.version is not None and pointer.version > version
    rolled_back = pointer.previous == version and pointer.by.startswith("rollback")
    if newer or rolled_back:
        what = f"{pointer.by} put version {pointer.version} in place meanwhile"
        raise PermanentError(
            f"version {version} is not deployed: {what}. To serve a newer model, start a new run"
        )


def _golden(context: Context, version: int) -> Golden:
    """The golden questions of a version whose files are whole."""
    try:
        files = read_version(context.models, version)
    except BadVersion as error:
        raise PermanentError(
            f"version {version} cannot be deployed: {error}; the pointer was not moved"
        ) from error
    golden, config = json.loads(files["golden.json"]), json.loads(files["config.json"])
    return Golden(
        inputs=golden["inputs"],
        outputs=golden["outputs"],
        tolerance=float(golden["tolerance"]),
        input=str(config["input"]),
        output=str(config["output"]),
        rows=int(config["maxBatchSize"]),
    )


def _await_replicas(context: Context, version: int, deadline: float) -> int:
    while True:
        answered, silent = replicas(context.spec.serving.model, context.environ)
        for each in answered:
            # What a replica refused before it saw this pointer, it tries again.
            if each.wanted == version and version in each.refused:
                raise PermanentError(
                    f"the replica at {each.address} refused version {version}: {each.refused[version]}"
                )
        behind = [f"{each.address} serves {each.serving}" for each in answered if each.serving != version]
        if answered and not behind and not silent:
            return len(answered)
        if time.monotonic() >= deadline:
            state = (
                "; ".join([*behind, *silent])
                or f"{context.environ[ENVIRONMENT.triton_replicas]} has no address"
            )
            raise RetryableError(f"the replicas did not follow to version {version} in time: {state}")
        time.sleep(POLL_SECONDS)


def _ask_golden(context: Context, version: int, golden: Golden, deadline: float) -> None:
    """Ask through the Service, as clients do, each time over a new connection."""
    outputs = np.asarray(golden.outputs, np.float64)
    for start in range(0, len(outputs), golden.rows):
        part = golden.inputs[start : start + golden.rows]
        answer = _infer(context, golden, part, deadline)
        if str(answer.get("model_version")) != str(version):
            raise PermanentError(
                f"the Service answered with version {answer.get('model_version')}, not {version}"
            )
        tensors = {each["name"]: each for each in answer["outputs"]}
        answers = np.asarray(tensors[golden.output]["data"], np.float64).reshape(len(part), -1)
        expected = outputs[start : start + golden.rows]
        far = distance(answers, expected) if answers.shape == expected.shape else np.full((1, 1), np.nan)
        if not far.max() <= golden.tolerance:
            row = int(np.argmax(np.where(np.isnan(far), np.inf, far).max(axis=1)))
            raise PermanentError(
                f"version {version} answers wrongly through the Service: to {part[row]} it says "
                f"{answers[row].tolist()}, the trained model said {expected[row].tolist()}"
            )


def _infer(context: Context, golden: Golden, rows: Any, deadline: float) -> dict[str, Any]:
    """One question over HTTP, asked again while the Service does not answer."""
    where = context.environ.get(ENVIRONMENT.triton_http_url, "")
    url = f"http://{where}/v2/models/{context.spec.serving.model}/infer"
    shape = [len(rows), len(rows[0])]
    tensor = {"name": golden.input, "shape": shape, "datatype": "FP32", "data": rows}
    body = json.dumps({"id": QUESTION, "inputs": [tensor], "outputs": [{"name": golden.output}]}).encode()
    # Never through a proxy: Triton is in the cluster.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        request = urllib.request.Request(
            url, body, {"Content-Type": "application/json", "Connection": "close"}
        )
        try:
            with opener.open(request, timeout=ASK_SECONDS) as answer:
                parsed: dict[str, Any] = json.loads(answer.read())
                return parsed
        except urllib.error.HTTPError as error:
            with error:
                reason = error.read().decode(errors="replace")[:300]
            if error.code < 500:
                raise PermanentError(f"{url} refuses the golden questions: {error.code} {reason}") from error
            failure: object = f"{error.code} {reason}"
        except (OSError, http.client.HTTPException, ValueError) as error:
            failure = error
        if time.monotonic() >= deadline:
            raise RetryableError(f"{url} does not answer: {failure}")
        time.sleep(POLL_SECONDS)


def _put_back(context: Context, wanted: Pointer) -> str:
    """Make the pointer exactly what it was, unless somebody else moved it since; say which."""
    there = read_pointer(context.models)
    if there != wanted:
        return f"the pointer was moved by {'nobody known' if there is None else there.by} since, and stays"
    before = context.data.get_json(context.key(BEFORE))
    if before is None:
        return "the pointer stays: it named this version before"
    if before["pointer"] is None:
        context.models.delete([POINTER])
        return "the pointer is gone again: nothing served before"
    context.models.put_json(POINTER, before["pointer"])
    return f"the pointer is back on version {before['pointer']['version']}"


def _delete_old_versions(context: Context, registry: Tracking, pointer: Pointer) -> None:
    """Delete the files of versions that nothing names; MLflow's registry keeps all."""
    assert pointer.version is not None
    named = {pointer.version, pointer.previous, pointer.shadow}
    for alias in (registry.aliases.champion, registry.aliases.challenger, registry.aliases.previous):
        found = registry.by_alias(alias)
        named.add(None if found is None else int(found.version))
    folders = {key.split("/")[1] for key in context.models.list("versions/")}
    for version in sorted(int(folder) for folder in folders if folder.isdigit()):
        # A newer one may be a run's that is not judged yet.
        if version < pointer.version and version not in named:
            delete_version(context.models, version)
            print(f"collected the files of version {version}")
