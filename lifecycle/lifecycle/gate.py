"""The fifth step: the challenger against the champion, on the same newest holdout."""

import json
import math
import time
from dataclasses import dataclass, replace
from typing import Any, Literal

import pandas as pd

from lifecycle.context import Context
from lifecycle.exits import Kept, Stopped
from lifecycle.replicas import replicas, shadow_distance
from lifecycle.repository import BadVersion, read_pointer, read_version, write_pointer
from lifecycle.scoring import Scorer, frame, matrix, measure
from lifecycle.spec import Gate
from lifecycle.tracking import Tracking

TAG = "lifecycle.gate"
SHADOW_SECONDS = 600.0
SHADOW_ROWS = 200
POLL_SECONDS = 2.0

Outcome = Literal["promoted", "kept", "limit"]


@dataclass(frozen=True)
class Decision:
    """What the gate says: `promoted`, `kept` (not better by the margin) or `limit` (too bad to serve)."""

    outcome: Outcome
    reason: str


def run(context: Context) -> None:
    """Leave `runs/<run>/gate.json` and `status/gate.json`; decided once, it ends the same way ever after.

    Raises:
        Kept: The challenger lost.
        Later: MLflow or the object store is away.
        Stopped: A version cannot be read, or the challenger is the champion already.
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
    registry.say_page(registered["runId"])
    if not decided["promoted"]:
        raise Kept(decided["reason"])
    print(f"promoted: {decided['reason']}")


def decide(gate: Gate, challenger: float, champion: float | None) -> Decision:
    """Judge by the gate's metric.

    Args:
        gate: What is asked.
        challenger: The challenger's value. One that is not finite loses, always.
        champion: The champion's value on the same rows, None where there is none to compare with. One that
            is not finite is as good as none.

    Returns:
        `promoted` where the challenger keeps the limit and is better than the champion by more than `margin`
        times the champion's value. A tie keeps the champion.
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
    return Decision("kept", f"{numbers}, needed was {needed:.6g} (a margin of {gate.margin:.3g})")


def _decided(context: Context, registry: Tracking, version: int) -> dict[str, Any]:
    """What gate.json says."""
    holdout = context.data.get(context.key("holdout.parquet"))
    if holdout is None:
        raise Stopped(f"{context.key('holdout.parquet')} is gone: run 'preprocess' again")
    rows = frame(holdout)
    aliased = registry.by_alias(registry.aliases.champion)
    champion = None if aliased is None else int(aliased.version)
    if champion == version:
        raise Stopped(f"version {version} is the champion already: there is nothing to decide")
    gate, target = context.spec.registry.gate, context.spec.collection.schema.target.name
    files = _files(context, version)
    value = _value(files, rows, target, gate.metric)
    other, note = None, ""
    if champion is not None:
        against = _files(context, champion)
        note = _changed(files, against)
        other = None if note else _value(against, rows, target, gate.metric)
    decision = decide(gate, value, other)
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
        # JSON has no NaN.
        "challenger": value if math.isfinite(value) else None,
        "champion": other if other is not None and math.isfinite(other) else None,
        "outcome": decision.outcome,
        "promoted": decision.outcome == "promoted",
        "reason": reason,
        "decidedAt": time.time(),
    }


def _files(context: Context, version: int) -> dict[str, bytes]:
    try:
        return read_version(context.models, version)
    except BadVersion as error:
        raise Stopped(
            f"version {version} in s3://{context.models.bucket}/{context.models.prefix} cannot be judged: "
            f"{error}"
        ) from error


def _value(files: dict[str, bytes], rows: pd.DataFrame, target: str, metric: str) -> float:
    scorer = Scorer(files["model.onnx"])
    said = scorer.predict(matrix(rows, _features(files)))
    measured = measure(rows[target].to_numpy(), said, scorer.classes)
    return measured.get(metric, float("nan"))


def _changed(challenger: dict[str, bytes], champion: dict[str, bytes]) -> str:
    """What keeps the champion from being asked the challenger's questions."""
    mine, its = _features(challenger), _features(champion)
    if mine != its:
        return f"the schema changed, from {', '.join(its)} to {', '.join(mine)}: only the limit decides"
    widths = [Scorer(files["model.onnx"]).outputs for files in (champion, challenger)]
    if widths[0] != widths[1]:
        return f"the target changed, from {widths[0]} outputs to {widths[1]}: only the limit decides"
    return ""


def _features(files: dict[str, bytes]) -> list[str]:
    return [each["name"] for each in json.loads(files["baseline.json"])["features"]]


def _follow(context: Context, registry: Tracking, decided: dict[str, Any], run_id: str) -> None:
    """All that follows from the decision; the same again changes nothing."""
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
    """Wait until the shadow has scored enough rows, or long enough; say how far it lies from the champion."""
    pointer = read_pointer(context.models)
    if pointer is None or pointer.shadow != version:
        print("no shadow: nothing served that it could have scored beside")
        return
    wanted = int(context.environ.get("SHADOW_ROWS", SHADOW_ROWS))
    deadline = time.monotonic() + float(context.environ.get("SHADOW_SECONDS", SHADOW_SECONDS))
    while True:
        answered, silent = replicas(context.spec.serving.model, context.environ)
        shadows = [each for each in answered if each.shadow == version]
        rows = sum(each.shadow_rows for each in shadows)
        if rows >= wanted or time.monotonic() >= deadline:
            break
        time.sleep(POLL_SECONDS)
    refused = [each.refused[version] for each in answered if version in each.refused]
    if refused:
        print(f"the shadow was refused: {refused[0]}")
    print(f"the shadow scored {rows} rows, {wanted} were wanted; {len(silent)} replicas were silent")
    if rows and pointer.version is not None:
        far = shadow_distance([each.address for each in shadows], context.spec.serving.model, pointer.version)
        print(f"shadow against champion, PSI of the predictions: {far:.4g}; the gate does not decide by it")
    elif not rows:
        print("nobody asked the shadow: the gate decides without it")
