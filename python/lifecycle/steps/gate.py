"""Step 5, gate: compare challenger and champion on the same holdout, the newest of the two."""

import json
import math
import time
from dataclasses import dataclass, replace
from typing import Any, Literal

import pandas as pd

from lifecycle.exits import GateRejected, PermanentError
from lifecycle.model_repository import BadVersion, read_pointer, read_version, write_pointer
from lifecycle.retry import poll_until
from lifecycle.spec import Gate
from lifecycle.steps.context import Context
from lifecycle.steps.replicas import Replica, replicas, shadow_distance
from lifecycle.steps.scoring import Scorer, frame, matrix, measure
from lifecycle.steps.tracking import BATCH, RUN, Tracking

TAG = "lifecycle.gate"
SHADOW_SECONDS = 600.0
SHADOW_ROWS = 200
POLL_SECONDS = 2.0

SETTINGS = (
    "maxBatchSize",
    "maxQueueDelayMicroseconds",
    "instances",
    "gpus",
    "traceOneIn",
    "payloads",
)
"""Keys of a version's config.json that set how Triton serves it; the others describe the model."""

Outcome = Literal["promoted", "kept", "limit"]


@dataclass(frozen=True)
class Decision:
    """The gate's decision.

    Attributes:
        outcome: `promoted`, `kept` (the champion stays) or `limit` (the challenger misses the limit).
        reason: The values behind the decision, for people.
    """

    outcome: Outcome
    reason: str


def run(context: Context) -> None:
    """Write `runs/<run>/gate.json` and `status/gate.json`.

    A repeated step uses the decision in gate.json and ends the same way.

    Raises:
        GateRejected: The challenger was not promoted.
        RetryableError: MLflow or the object store does not answer.
        PermanentError: The challenger or a holdout cannot be read, or the challenger is already the champion.
    """
    registered = context.result("register")
    version = int(registered["version"])
    registry = Tracking(context.spec, context.environ)
    decided = context.data.get_json(context.key("gate.json"))
    if decided is None or decided["version"] != version:
        if context.spec.serving.shadow:
            _await_shadow(context, version)
        decided = _decided(context, registry, version)
        context.data.put_json(context.key("gate.json"), decided)
    _follow(context, registry, decided, registered["runId"])
    registry.print_page_url(registered["runId"])
    if not decided["promoted"]:
        raise GateRejected(decided["reason"])
    print(f"promoted: {decided['reason']}")


def decide(gate: Gate, challenger: float, champion: float | None, settings: str = "") -> Decision:
    """Decide by the gate's metric.

    The challenger is promoted if it is within the limit and better than the champion by more than `margin`
    times the champion's absolute value. If its serving settings differ from the champion's, it is enough that
    it is not worse: a version's settings never change, so new settings need a new version.

    Args:
        gate: Metric, direction, margin and limit.
        challenger: The challenger's value; it is rejected if the value is not finite.
        champion: The champion's value on the same rows. If it is None or not finite, only the limit decides.
        settings: The challenger's serving settings that differ from the champion's, as text; empty if none.
    """
    metric = gate.metric
    if not math.isfinite(challenger):
        return Decision("limit", f"{metric} of the challenger is {challenger}")
    sign = 1.0 if gate.better == "lower" else -1.0
    if gate.limit is not None and sign * challenger > sign * gate.limit:
        return Decision("limit", f"{metric} {challenger:.6g} is not within the limit {gate.limit:.6g}")
    if champion is None or not math.isfinite(champion):
        limit = "without a limit" if gate.limit is None else f"within the limit {gate.limit:.6g}"
        return Decision("promoted", f"{metric} {challenger:.6g}, {limit}, and no champion to compare with")
    needed = champion - sign * gate.margin * abs(champion)
    numbers = f"{metric} {challenger:.6g} against the champion's {champion:.6g}, {gate.better} is better"
    if sign * challenger < sign * needed:
        return Decision("promoted", numbers)
    if settings and sign * challenger <= sign * champion:
        return Decision("promoted", f"{numbers}; it is no worse, and serves with {settings}")
    return Decision("kept", f"{numbers}, needed was {needed:.6g} (a margin of {gate.margin:.3g})")


def _decided(context: Context, registry: Tracking, version: int) -> dict[str, Any]:
    """Score both versions and return the content of gate.json."""
    aliased = registry.by_alias(registry.aliases.champion)
    champion = None if aliased is None else int(aliased.version)
    if champion == version:
        raise PermanentError(f"version {version} is the champion already: there is nothing to decide")
    gate, target = context.spec.registry.gate, context.spec.collection.schema.target.name
    files = _files(context, version)
    against, note = (None, "") if champion is None else _champion(context, champion, files)
    run, batch = context.run, context.batch
    if aliased is not None and against is not None and aliased.tags.get(BATCH, "") > batch:
        # In a backfill the champion may have learned from newer data; it must not lose on an older holdout.
        run, batch = aliased.tags[RUN], aliased.tags[BATCH]
        print(f"version {champion} learned from batch {batch}: both are scored on that one's holdout")
    rows = _holdout(context, run)
    value = _value(files, rows, target, gate.metric)
    other, settings = None, ""
    if against is not None:
        other, settings = _value(against, rows, target, gate.metric), _settings(against, files)
    decision = decide(gate, value, other, settings)
    if note:
        print(f"version {champion} is no measure: {note}")
    reason = f"version {version}: {decision.reason}" + (f"; {note}" if note else "")
    return {
        "run": context.run,
        "batch": context.batch,
        "version": version,
        "championVersion": champion,
        "metric": gate.metric,
        "rows": len(rows),
        "holdoutBatch": batch,
        # JSON has no NaN.
        "challenger": value if math.isfinite(value) else None,
        "champion": other if other is not None and math.isfinite(other) else None,
        "outcome": decision.outcome,
        "promoted": decision.outcome == "promoted",
        "reason": reason,
        "decidedAt": time.time(),
    }


def _champion(
    context: Context, version: int, challenger: dict[str, bytes]
) -> tuple[dict[str, bytes] | None, str]:
    """Return the champion's files and "", or None and the reason why it cannot be compared."""
    try:
        files = read_version(context.models, version)
    except BadVersion as error:
        # A champion that no pod can load must not block a challenger that can be served.
        return None, f"its files cannot be read, {error}: only the limit decides"
    note = _changed(challenger, files)
    return (None, note) if note else (files, "")


def _holdout(context: Context, run: str) -> pd.DataFrame:
    key = f"runs/{run}/holdout.parquet"
    holdout = context.data.get(key)
    if holdout is None:
        raise PermanentError(f"{key} is gone, and without it there is nothing to score on: start a new run")
    return frame(holdout)


def _files(context: Context, version: int) -> dict[str, bytes]:
    try:
        return read_version(context.models, version)
    except BadVersion as error:
        raise PermanentError(
            f"version {version} in s3://{context.models.bucket}/{context.models.prefix} cannot be judged: "
            f"{error}"
        ) from error


def _value(files: dict[str, bytes], rows: pd.DataFrame, target: str, metric: str) -> float:
    scorer = Scorer(files["model.onnx"])
    predictions = scorer.predict(matrix(rows, _features(files)))
    measured = measure(rows[target].to_numpy(), predictions, scorer.classes)
    return measured.get(metric, float("nan"))


def _changed(challenger: dict[str, bytes], champion: dict[str, bytes]) -> str:
    """Return why the champion cannot score the challenger's rows (other features or outputs), or ""."""
    mine, its = _features(challenger), _features(champion)
    if mine != its:
        return f"the schema changed, from {', '.join(its)} to {', '.join(mine)}: only the limit decides"
    widths = [Scorer(files["model.onnx"]).outputs for files in (champion, challenger)]
    if widths[0] != widths[1]:
        return f"the target changed, from {widths[0]} outputs to {widths[1]}: only the limit decides"
    return ""


def _settings(champion: dict[str, bytes], challenger: dict[str, bytes]) -> str:
    """Return the serving settings that differ, as in `instances 2 instead of 1`."""
    before, now = (json.loads(files["config.json"]) for files in (champion, challenger))
    changed = [name for name in SETTINGS if name in before and before[name] != now[name]]
    return ", ".join(f"{name} {now[name]} instead of {before[name]}" for name in changed)


def _features(files: dict[str, bytes]) -> list[str]:
    return [each["name"] for each in json.loads(files["baseline.json"])["features"]]


def _follow(context: Context, registry: Tracking, decided: dict[str, Any], run_id: str) -> None:
    """Publish the decision: status, tag, metrics, alias and shadow. Repeating it changes nothing."""
    version = decided["version"]
    shown = context.models.get_json("status/gate.json")
    if shown is None or shown["decidedAt"] <= decided["decidedAt"]:
        names = ("run", "metric", "champion", "challenger", "promoted", "decidedAt")
        context.models.put_json("status/gate.json", {name: decided[name] for name in names})
    registry.tag_version(version, TAG, f"{decided['outcome']}: {decided['reason']}")
    values = {
        f"gate_{name}": decided[name] for name in ("champion", "challenger") if decided[name] is not None
    }
    registry.log_metrics(run_id, values, decided["decidedAt"])
    if not decided["promoted"]:
        registry.drop_alias(registry.aliases.challenger, version)
        pointer = read_pointer(context.models)
        if pointer is not None and pointer.shadow == version:
            write_pointer(context.models, replace(pointer, shadow=None))


def _await_shadow(context: Context, version: int) -> None:
    """Wait until the shadow has scored enough rows or time is up; print its distance from the champion."""
    pointer = read_pointer(context.models)
    if pointer is None or pointer.shadow != version:
        print("no shadow: nothing served that it could have scored beside")
        return
    wanted = int(context.environ.get("SHADOW_ROWS", SHADOW_ROWS))
    deadline = time.monotonic() + float(context.environ.get("SHADOW_SECONDS", SHADOW_SECONDS))

    def shadows(answered: list[Replica]) -> list[Replica]:
        return [each for each in answered if each.shadow == version]

    def scored(answered: list[Replica]) -> int:
        return sum(each.shadow_rows for each in shadows(answered))

    answered, silent = poll_until(
        deadline,
        lambda: replicas(context.spec.serving.model, context.environ),
        lambda found: scored(found[0]) >= wanted,
        POLL_SECONDS,
    )
    rows = scored(answered)
    refused = [each.refused[version] for each in answered if version in each.refused]
    if refused:
        print(f"the shadow was refused: {refused[0]}")
    print(f"the shadow scored {rows} rows, {wanted} were wanted; {len(silent)} replicas were silent")
    if rows:
        print(f"shadow against champion, {_distance(context, [each.address for each in shadows(answered)])}")
    else:
        print("nobody asked the shadow: the gate decides without it")


def _distance(context: Context, at: list[str]) -> str:
    try:
        far = shadow_distance(at, context.spec.serving.model)
    except OSError as error:
        return f"not compared: {error!r}"
    return f"PSI of the predictions: {far:.4g}; the gate does not decide by it"
