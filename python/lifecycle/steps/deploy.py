"""Step 6, deploy: move the pointer, wait for all replicas, check the golden answers, and undo on failure."""

import json
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from lifecycle.cluster_http import cluster_session
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
from lifecycle.retry import retry_until
from lifecycle.steps.context import Context
from lifecycle.steps.replicas import replicas
from lifecycle.steps.tolerance import distance
from lifecycle.steps.tracking import Tracking

SECONDS = 600.0
"""Default of DEPLOY_SECONDS, the time that the replicas have to serve the version."""
POLL_SECONDS = 0.5
ASK_SECONDS = 10.0
REPEATS = 5
"""Average number of times that each replica gets the golden inputs; the Service chooses the replica."""

QUESTION = "golden-deploy"
"""Id of the requests with golden inputs; the sidecar does not count ids that begin `golden-` as traffic."""

BEFORE = "before.json"
"""File of the run that holds the pointer as it was before the deployment."""


@dataclass(frozen=True)
class Golden:
    """The golden rows of a version: inputs and the trained model's outputs.

    Attributes:
        inputs: Shape [rows, inputs].
        outputs: The expected predictions, shape [rows, outputs].
        tolerance: Largest difference, absolute for outputs up to 1 in size, relative above.
        input: Name of the input tensor.
        output: Name of the output tensor.
        rows: Largest number of rows in one request.
    """

    inputs: list[list[float]]
    outputs: list[list[float]]
    tolerance: float
    input: str
    output: str
    rows: int


def run(context: Context) -> None:
    """Move the pointer and the aliases to this run's version, and write `runs/<run>/deploy.json`.

    Raises:
        GateRejected: The gate rejected the version.
        RetryableError: MLflow or the object store does not answer, or the replicas did not follow within
            DEPLOY_SECONDS; the pointer is restored.
        PermanentError: A replica refused the version or answers wrongly, and the pointer is restored; or
            another version was deployed meanwhile.
    """
    decided = context.result("gate")
    version = int(decided["version"])
    if not decided["promoted"]:
        raise GateRejected(decided["reason"])
    if context.data.get_json(context.key("deploy.json")) is not None:
        print(f"found: this run deployed version {version} before")
        return
    # This comes before any change: if MLflow does not answer, the aliases could not follow the pointer.
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
    """Write the pointer, and wait until every replica serves its version and gives the golden answers.

    On failure the pointer is restored. If the step was killed after writing the pointer, calling the function
    again with that pointer continues.

    Args:
        context: The run; the pointer before the change is stored among its files.
        wanted: The new pointer; its version is not None.

    Returns:
        The number of replicas.

    Raises:
        RetryableError: The replicas did not follow in time.
        PermanentError: A replica refused the version or answers wrongly.
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
    """Set MLflow's aliases `champion` and `previous` to the pointer's versions.

    `previous` is left as it is if MLflow has no such version.
    """
    assert pointer.version is not None
    if pointer.previous is not None and registry.version(pointer.previous) is not None:
        registry.set_alias(registry.aliases.previous, pointer.previous)
    registry.set_alias(registry.aliases.champion, pointer.version)


def _refuse(context: Context, pointer: Pointer, version: int) -> None:
    """Raise PermanentError if a newer version serves, or if this version was rolled back."""
    newer = pointer.version is not None and pointer.version > version
    rolled_back = pointer.previous == version and pointer.by.startswith("rollback")
    if newer or rolled_back:
        what = f"{pointer.by} put version {pointer.version} in place meanwhile"
        raise PermanentError(
            f"version {version} is not deployed: {what}. To serve a newer model, start a new run"
        )


def _golden(context: Context, version: int) -> Golden:
    """Return the golden rows of a version after checking all its files."""
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
    def followed() -> int:
        answered, silent = replicas(context.spec.serving.model, context.environ)
        for each in answered:
            # A refusal counts only once the replica has read this pointer, because it then tries again.
            if each.wanted == version and version in each.refused:
                raise PermanentError(
                    f"the replica at {each.address} refused version {version}: {each.refused[version]}"
                )
        behind = [f"{each.address} serves {each.serving}" for each in answered if each.serving != version]
        if answered and not behind and not silent:
            return len(answered)
        state = (
            "; ".join([*behind, *silent]) or f"{context.environ[ENVIRONMENT.triton_replicas]} has no address"
        )
        raise RetryableError(f"the replicas did not follow to version {version} in time: {state}")

    return retry_until(deadline, (RetryableError,), followed, POLL_SECONDS)


def _ask_golden(context: Context, version: int, golden: Golden, deadline: float) -> None:
    """Check the golden answers through the Service, like a client, with a new connection for each request."""
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
    headers = {"Content-Type": "application/json", "Connection": "close"}

    def ask() -> dict[str, Any]:
        try:
            with cluster_session() as session:
                answer = session.post(url, body, headers=headers, timeout=ASK_SECONDS, allow_redirects=False)
            if 200 <= answer.status_code < 300:
                parsed: dict[str, Any] = answer.json()
                return parsed
        except (OSError, ValueError) as error:
            raise RetryableError(f"{url} does not answer: {error}") from error
        reason = f"{answer.status_code} {answer.content.decode(errors='replace')[:300]}"
        if answer.status_code < 500:
            raise PermanentError(f"{url} refuses the golden questions: {reason}")
        raise RetryableError(f"{url} does not answer: {reason}")

    return retry_until(deadline, (RetryableError,), ask, POLL_SECONDS)


def _put_back(context: Context, wanted: Pointer) -> str:
    """Restore the pointer unless another process changed it since; return a text on what was done."""
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
    """Delete the files of older versions that neither pointer nor alias names; MLflow keeps its versions."""
    assert pointer.version is not None
    named = {pointer.version, pointer.previous, pointer.shadow}
    for alias in (registry.aliases.champion, registry.aliases.challenger, registry.aliases.previous):
        found = registry.by_alias(alias)
        named.add(None if found is None else int(found.version))
    folders = {key.split("/")[1] for key in context.models.list("versions/")}
    for version in sorted(int(folder) for folder in folders if folder.isdigit()):
        # A newer version may belong to a run that has not reached the gate yet.
        if version < pointer.version and version not in named:
            delete_version(context.models, version)
            print(f"collected the files of version {version}")
