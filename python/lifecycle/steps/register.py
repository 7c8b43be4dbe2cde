"""Step 4, register: create one version in MLflow's registry and write its files to the model repository."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from lifecycle.exits import PermanentError
from lifecycle.model_repository import FILES, read_pointer, write_pointer, write_version
from lifecycle.steps.context import Context
from lifecycle.steps.tracking import LINEAGE, SERVING, Tracking


def run(context: Context) -> None:
    """Create the run's version with the alias `challenger`, `versions/<version>/` and `register.json`.

    The step first looks for a version of this run, so that repeated or killed steps create no second one.

    Raises:
        RetryableError: MLflow or the object store does not answer.
        PermanentError: The run has already registered another model, or the MLflow run lacks an artifact.
    """
    trained = context.result("train")
    before = context.data.get_json(context.key("register.json"))
    if before is not None and before["runId"] == trained["runId"]:
        print(f"found: this run registered version {before['version']} before")
        return
    registry = Tracking(context.spec, context.environ)
    version = _version(context, registry, trained)
    number = int(version.version)
    with tempfile.TemporaryDirectory() as folder:
        files = registry.fetch(trained["runId"], SERVING, Path(folder))
    missing = [name for name in FILES if name not in files]
    if missing:
        raise PermanentError(
            f"the artifacts of MLflow's run {trained['runId']} lack {SERVING}/{', '.join(missing)}"
        )
    meta = {
        "model": context.spec.serving.model,
        "runId": trained["runId"],
        "run": context.run,
        "batch": context.batch,
        "createdAt": version.creation_timestamp / 1000,
    }
    write_version(context.models, number, files, meta)
    registry.set_alias(registry.aliases.challenger, number)
    if context.spec.serving.shadow:
        _shadow(context, number)
    context.data.put_json(
        context.key("register.json"),
        {"run": context.run, "batch": context.batch, "version": number, "runId": trained["runId"]},
    )
    print(f"registered {registry.name} version {number}")
    registry.print_page_url(trained["runId"])


def _version(context: Context, registry: Tracking, trained: dict[str, Any]) -> Any:
    """Return this run's version in MLflow's registry; create it if there is none."""
    found = registry.versions(context.run)
    if not found:
        tags = registry.run(trained["runId"]).data.tags
        lineage = {name: tags[name] for name in LINEAGE if name in tags}
        registry.register(trained["runId"], f"models:/{trained['modelId']}", trained["modelId"], lineage)
        found = registry.versions(context.run)
    # Airflow occasionally starts a step twice. If both register a version, only the lowest is kept.
    for each in found[1:]:
        registry.unregister(int(each.version))
    if found[0].run_id != trained["runId"]:
        raise PermanentError(
            f"run {context.run} registered version {found[0].version} before, of another model: its data, "
            "model.py or spec changed since. Start a new run"
        )
    return found[0]


def _shadow(context: Context, version: int) -> None:
    pointer = read_pointer(context.models)
    if pointer is None or pointer.version is None:
        print("no shadow: nothing serves yet that it could score beside")
        return
    write_pointer(context.models, replace(pointer, shadow=version))
    print(f"version {version} scores as a shadow beside version {pointer.version}")
