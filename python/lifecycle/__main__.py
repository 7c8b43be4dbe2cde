"""One step of a model's life, as a program: `python -m lifecycle <step> --pipeline NAME --run RUN`."""

import argparse
import importlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from lifecycle.batches import batch_of, period_of
from lifecycle.exits import PermanentError, StepExit
from lifecycle.names import (
    ALONE_STEPS,
    COLLECT,
    MODEL_FILE,
    PIPELINE_FOLDER,
    RUN_STEPS,
    SPEC_FILE,
    TRAFFIC,
)
from lifecycle.spec import Spec
from lifecycle.steps.context import Context
from lifecycle.store import Store

FIRST = (COLLECT, *ALONE_STEPS)
"""They follow no other step of the same run."""


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a step and return the exit code that docs/lifecycle.md gives its end."""
    options = parser().parse_args(arguments)
    # Airflow shows the log while the step runs.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        step = importlib.import_module(f"lifecycle.steps.{options.step}")
        given = context(options, environ)
        if options.step == TRAFFIC:
            step.run(given, step.Load(options.seconds, options.clients, options.pause))
        else:
            step.run(given)
    except StepExit as end:
        # One line: Airflow's users read the last one.
        print(f"{end.word}: {' '.join(str(end).split())}", flush=True)
        return end.code
    return 0


def parser() -> argparse.ArgumentParser:
    """The arguments of every step."""
    made = argparse.ArgumentParser(prog="lifecycle", description="Runs one step of a model's life.")
    made.add_argument("step", choices=[*RUN_STEPS, *ALONE_STEPS])
    made.add_argument("--pipeline", required=True, help="name, as in its spec")
    made.add_argument("--run", required=True, help="name of this run of the lifecycle")
    made.add_argument("--batch", default="", help="as in 2024-01; empty: the newest at the time --at")
    made.add_argument(
        "--at", default="", help="moment in ISO 8601, in UTC unless it says otherwise; empty: now"
    )
    load = made.add_argument_group("of traffic alone")
    load.add_argument("--seconds", type=float, default=300.0, help="how long it lasts")
    load.add_argument("--clients", type=int, default=2, help="how many ask at once")
    load.add_argument("--pause", type=float, default=0.1, help="seconds between two requests of a client")
    made.add_argument("--spec", type=Path, default=PIPELINE_FOLDER / SPEC_FILE)
    made.add_argument("--model", type=Path, default=PIPELINE_FOLDER / MODEL_FILE)
    return made


def context(options: argparse.Namespace, environ: Mapping[str, str]) -> Context:
    """What the step is given."""
    spec = Spec.load(options.spec)
    if spec.name != options.pipeline:
        raise PermanentError(f"{options.spec} is the pipeline {spec.name!r}, not {options.pipeline!r}")
    run = safe(options.run)
    data = Store(spec.collection.bucket, spec.collection.prefix)
    return Context(
        spec=spec,
        run=run,
        batch=batch(options, spec, run, data),
        model_path=options.model,
        data=data,
        models=Store(spec.serving.bucket, spec.serving.prefix),
        environ=environ,
    )


def batch(options: argparse.Namespace, spec: Spec, run: str, data: Store) -> str:
    """The batch of this run: the one it has collected, the one that was asked for, or the newest."""
    collected = data.get_json(f"runs/{run}/{COLLECT}.json")
    if collected is not None:
        if options.batch not in ("", collected["batch"]):
            raise PermanentError(
                f"run {run} is of batch {collected['batch']}; --batch {options.batch} needs a run of its own"
            )
        return str(collected["batch"])
    if options.step not in FIRST:
        raise PermanentError(f"run {run} has collected no batch: the step '{COLLECT}' comes first")
    source = spec.collection.source
    if options.batch:
        # What the pipeline is to learn from ends there; what it is asked with may be newer.
        source = replace(source, until=None) if options.step == TRAFFIC else source
        return period_of(options.batch, source).batch
    return batch_of(moment(options.at), source)


def moment(text: str) -> datetime:
    """A moment in ISO 8601; now, where there is none."""
    if not text:
        return datetime.now(UTC)
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise PermanentError(f"--at must be a moment, as in 2024-03-01T06:00:00Z, got {text!r}") from error
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)


def safe(run: str) -> str:
    """A run's name as a part of a key; no two names become the same.

    Letters, digits, dots (not the first), dashes and underscores stay; of all else each byte becomes `~` and
    two hexadecimal digits, as `%` in an address.

    Raises:
        PermanentError: It is empty, or longer than 250 characters.
    """
    made = re.sub(
        r"^\.|[^A-Za-z0-9._-]", lambda match: "".join(f"~{byte:02X}" for byte in match[0].encode()), run
    )
    if not 1 <= len(made) <= 250:
        raise PermanentError(f"--run must have 1 to 250 characters, got {len(made)}: {run!r}")
    return made


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
