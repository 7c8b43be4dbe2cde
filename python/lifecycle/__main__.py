"""Command line of the steps: `python -m lifecycle <step> --pipeline NAME --run RUN` runs one step."""

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
"""Steps that need no earlier step of the same run."""


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a step and return its exit code; docs/lifecycle.md lists the codes.

    Args:
        arguments: The command line without the program's name.
        environ: The environment variables that the step reads.
    """
    options = parser().parse_args(arguments)
    # Line buffering, because Airflow shows the log while the step runs.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        step = importlib.import_module(f"lifecycle.steps.{options.step}")
        step_context = context(options, environ)
        if options.step == TRAFFIC:
            step.run(step_context, step.Load(options.seconds, options.clients, options.pause))
        else:
            step.run(step_context)
    except StepExit as end:
        # The message is folded into one line, because users of Airflow read the last line of the log.
        print(f"{end.word}: {' '.join(str(end).split())}", flush=True)
        return end.code
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments that all steps share."""
    made = argparse.ArgumentParser(prog="lifecycle", description="Runs one step of a model's life.")
    made.add_argument("step", choices=[*RUN_STEPS, *ALONE_STEPS])
    made.add_argument("--pipeline", required=True, help="name, as in its spec")
    made.add_argument("--run", required=True, help="name of this run of the lifecycle")
    made.add_argument("--batch", default="", help="as in 2024-01; default: the newest batch at the time --at")
    made.add_argument(
        "--at", default="", help="time in ISO 8601, in UTC unless it has an offset; default: now"
    )
    load = made.add_argument_group("only for the step traffic")
    load.add_argument("--seconds", type=float, default=300.0, help="how long the traffic lasts")
    load.add_argument("--clients", type=int, default=2, help="number of clients that send at the same time")
    load.add_argument("--pause", type=float, default=0.1, help="seconds between two requests of a client")
    made.add_argument("--spec", type=Path, default=PIPELINE_FOLDER / SPEC_FILE)
    made.add_argument("--model", type=Path, default=PIPELINE_FOLDER / MODEL_FILE)
    return made


def context(options: argparse.Namespace, environ: Mapping[str, str]) -> Context:
    """Build the step's context from the command line.

    Raises:
        PermanentError: The spec cannot be read or belongs to another pipeline, or an argument is invalid.
        RetryableError: The object store does not answer.
    """
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
    """Return this run's batch: the one it has collected, else `--batch`, else the newest at `--at`.

    Raises:
        PermanentError: The run has collected another batch, or none yet, or the source has no such batch.
    """
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
        # `until` limits the batches to train on; the step traffic may send rows of newer batches.
        source = replace(source, until=None) if options.step == TRAFFIC else source
        return period_of(options.batch, source).batch
    return batch_of(moment(options.at), source)


def moment(text: str) -> datetime:
    """Return an ISO 8601 time as UTC; an empty text means now.

    Raises:
        PermanentError: The text is not ISO 8601.
    """
    if not text:
        return datetime.now(UTC)
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise PermanentError(f"--at must be a moment, as in 2024-03-01T06:00:00Z, got {text!r}") from error
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)


def safe(run: str) -> str:
    """Encode a run's name for use in an object's key; different names get different results.

    Letters, digits, dashes, underscores and dots other than a leading one stay. Every other character becomes
    `~` and two hexadecimal digits for each of its UTF-8 bytes, like percent-encoding in a URL.

    Raises:
        PermanentError: The result is empty or longer than 250 characters.
    """
    made = re.sub(
        r"^\.|[^A-Za-z0-9._-]", lambda match: "".join(f"~{byte:02X}" for byte in match[0].encode()), run
    )
    if not 1 <= len(made) <= 250:
        raise PermanentError(f"--run must have 1 to 250 characters, got {len(made)}: {run!r}")
    return made


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
