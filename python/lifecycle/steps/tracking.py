"""Access to MLflow: the runs, model versions and aliases of one pipeline."""

import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from lifecycle.cluster_http import cluster_session
from lifecycle.exits import PermanentError, RetryableError
from lifecycle.names import ALIASES, ENVIRONMENT
from lifecycle.retry import retry_until
from lifecycle.spec import Spec

RUN = "lifecycle.run"
BATCH = "lifecycle.batch"
BATCH_SHA256 = "lifecycle.batch_sha256"
CODE_SHA256 = "lifecycle.code_sha256"
SPEC_SHA256 = "lifecycle.spec_sha256"
AIRFLOW_RUN = "lifecycle.airflow_run"
PARENT_VERSION = "lifecycle.parent_version"
LINEAGE = (RUN, BATCH, BATCH_SHA256, CODE_SHA256, SPEC_SHA256, AIRFLOW_RUN, PARENT_VERSION)
"""Tags of an MLflow run that are copied to its model version."""

SERVING = "serving"
"""Folder among a run's artifacts whose files become a version in the model repository."""

PATIENCE = 30.0
"""Seconds that MLflow may be out of reach at first: a pod is there before its firewall opens."""

FOREVER = (
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "INVALID_PARAMETER_VALUE",
    "BAD_REQUEST",
    "ENDPOINT_NOT_FOUND",
)
"""MLflow's error codes that a retry cannot change."""
PARAMETERS = 100
"""Largest number of parameters in one call; MLflow's limit: https://mlflow.org/docs/latest/rest-api.html"""

Result = TypeVar("Result")


class Tracking:
    """The experiment and the registered model of one pipeline.

    Raises:
        RetryableError: From every method, if MLflow does not answer or reports a server error.
        PermanentError: From every method, if MLflow refuses the request.
    """

    def __init__(self, spec: Spec, environ: Mapping[str, str], patience: float = PATIENCE) -> None:
        """Wait until MLflow answers, for at most `patience` seconds, and create the client.

        MLflow's client reads the credentials from the process's environment.

        Raises:
            RetryableError: Nothing answers at MLFLOW_TRACKING_URI.
            PermanentError: MLFLOW_TRACKING_URI is not set or not an HTTP address.
        """
        self.uri = environ.get("MLFLOW_TRACKING_URI", "")
        if not self.uri.startswith("http"):
            raise PermanentError(
                f"MLFLOW_TRACKING_URI must be MLflow's address, as in http://host:5000; got {self.uri!r}"
            )
        # By default MLflow's client retries a call for about four minutes. A failed step that Airflow retries
        # later is better, because its pod holds no resources meanwhile.
        for name, value in {
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
            "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "path",
        }.items():
            os.environ.setdefault(name, value)
        _reach(self.uri, patience)
        mlflow.set_tracking_uri(self.uri)
        self.name = spec.registry.model
        self.experiment_name = spec.training.experiment
        self.aliases = ALIASES
        self.page = environ.get(ENVIRONMENT.mlflow_page_url, "").rstrip("/")
        self._client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def experiment(self) -> str:
        """Return the id of the pipeline's experiment; create it if it does not exist.

        Raises:
            PermanentError: The experiment was deleted.
        """
        found = self.call(lambda: self._client.get_experiment_by_name(self.experiment_name))
        if found is None:
            self.call(lambda: self._client.create_experiment(self.experiment_name), "RESOURCE_ALREADY_EXISTS")
            found = self.call(lambda: self._client.get_experiment_by_name(self.experiment_name))
        if found.lifecycle_stage != "active":
            raise PermanentError(
                f"MLflow's experiment '{self.experiment_name}' was deleted: restore it with "
                f"'mlflow experiments restore -x {found.experiment_id}'"
            )
        return str(found.experiment_id)

    def runs(self, experiment: str, run: str) -> list[Any]:
        """Return the MLflow runs of one lifecycle run, the newest first."""
        query = f"tags.`{RUN}` = '{run}'"
        return list(self.call(lambda: self._client.search_runs([experiment], query)))

    def start(self, experiment: str, name: str, tags: Mapping[str, str]) -> str:
        """Start an MLflow run and return its id."""
        made = self.call(lambda: self._client.create_run(experiment, tags=dict(tags), run_name=name))
        return str(made.info.run_id)

    def end(self, run_id: str, status: str) -> None:
        """End an MLflow run with the status FINISHED, FAILED or KILLED."""
        self.call(lambda: self._client.set_terminated(run_id, status))

    def run(self, run_id: str) -> Any:
        """Return an MLflow run.

        Raises:
            PermanentError: The run does not exist.
        """
        found = self.call(lambda: self._client.get_run(run_id), "RESOURCE_DOES_NOT_EXIST")
        if found is None:
            raise PermanentError(f"MLflow knows no run {run_id}: it was removed for good")
        return found

    def log_parameters(self, run_id: str, parameters: Mapping[str, str]) -> None:
        """Log parameters of a run."""
        given = [mlflow.entities.Param(name, value) for name, value in parameters.items()]
        parts = [given[start : start + PARAMETERS] for start in range(0, len(given), PARAMETERS)]
        for part in parts:
            self.call(partial(self._client.log_batch, run_id, params=part))

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], seconds: float) -> None:
        """Log metrics with a time in seconds since 1970; the same values and time again add nothing."""
        when = int(seconds * 1000)
        given = [mlflow.entities.Metric(name, value, when, 0) for name, value in metrics.items()]
        self.call(lambda: self._client.log_batch(run_id, metrics=given))

    def tag_run(self, run_id: str, name: str, value: str) -> None:
        """Set a tag of a run."""
        self.call(lambda: self._client.set_tag(run_id, name, value))

    def log_file(self, run_id: str, path: Path, folder: str) -> None:
        """Log a file as an artifact below `folder`."""
        self.artifact_call(lambda: self._client.log_artifact(run_id, str(path), folder))

    def log_model(self, run_id: str, flavour: Any, **arguments: Any) -> str:
        """Log a model with a run and return the model's id.

        Args:
            run_id: The MLflow run.
            flavour: The module of the flavor, such as `mlflow.onnx`.
            arguments: The arguments of the flavor's `save_model`.
        """
        experiment = self.run(run_id).info.experiment_id

        def log() -> str:
            # Not the flavor's log_model: without an active run it would start and end another run.
            mlflow.set_experiment(experiment_id=experiment)
            made = Model.log(None, flavour, run_id=run_id, name="model", **arguments)
            return str(made.model_id)

        return self.artifact_call(log)

    def fetch(self, run_id: str, folder: str, into: Path) -> dict[str, bytes]:
        """Download the artifacts directly below `folder` to the folder `into`; return names and contents."""
        at = Path(
            self.artifact_call(
                lambda: mlflow.artifacts.download_artifacts(
                    run_id=run_id, artifact_path=folder, dst_path=str(into), tracking_uri=self.uri
                )
            )
        )
        return {path.name: path.read_bytes() for path in sorted(at.iterdir())}

    def versions(self, run: str) -> list[Any]:
        """Return the registered model versions of one lifecycle run, the lowest first."""
        query = f"name = '{self.name}' and tags.`{RUN}` = '{run}'"
        found = self.call(lambda: self._client.search_model_versions(query))
        return sorted(found, key=lambda each: int(each.version))

    def register(self, run_id: str, source: str, model_id: str, tags: Mapping[str, str]) -> None:
        """Register a new model version with its tags; create the registered model if it does not exist."""
        self.call(lambda: self._client.create_registered_model(self.name), "RESOURCE_ALREADY_EXISTS")
        self.call(
            lambda: self._client.create_model_version(
                self.name, source, run_id=run_id, tags=dict(tags), model_id=model_id
            )
        )

    def unregister(self, version: int) -> None:
        """Delete a model version; a missing one is no error."""
        self.call(
            lambda: self._client.delete_model_version(self.name, str(version)), "RESOURCE_DOES_NOT_EXIST"
        )

    def by_alias(self, alias: str) -> Any | None:
        """Return the model version that an alias names, or None."""
        # MLflow answers INVALID_PARAMETER_VALUE if the alias does not exist.
        none = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
        return self.call(lambda: self._client.get_model_version_by_alias(self.name, alias), *none)

    def version(self, version: int) -> Any | None:
        """Return a model version, or None if it does not exist."""
        return self.call(
            lambda: self._client.get_model_version(self.name, str(version)), "RESOURCE_DOES_NOT_EXIST"
        )

    def tag_version(self, version: int, name: str, value: str) -> None:
        """Set a tag of a model version."""
        self.call(lambda: self._client.set_model_version_tag(self.name, str(version), name, value))

    def set_alias(self, alias: str, version: int) -> None:
        """Point an alias to this version; it is removed from another one."""
        self.call(lambda: self._client.set_registered_model_alias(self.name, alias, str(version)))

    def drop_alias(self, alias: str, version: int | None = None) -> None:
        """Remove an alias; with `version`, only if the alias names that version."""
        named = self.by_alias(alias)
        if named is not None and version in (None, int(named.version)):
            self.call(lambda: self._client.delete_registered_model_alias(self.name, alias))

    def print_page_url(self, run_id: str) -> None:
        """Print the address of the run's page in MLflow's web interface, if that interface has an address."""
        if self.page:
            experiment = self.run(run_id).info.experiment_id
            print(f"MLflow: {self.page}/#/experiments/{experiment}/runs/{run_id}", flush=True)

    def artifact_call(self, call: Callable[[], Result]) -> Result:
        """Like `call`, for calls in which MLflow's client also reads or writes the object store.

        Raises:
            RetryableError: MLflow or the object store fails.
            PermanentError: MLflow refuses the request.
        """
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            result: Result = self.call(call)
        except (Boto3Error, BotoCoreError, ClientError) as error:
            raise RetryableError(
                f"the object store does not take or give MLflow's artifacts: {error}"
            ) from error
        return result

    def call(self, call: Callable[[], Any], *expected: str) -> Any:
        """Run `call` and return its result, or None if MLflow refuses with one of the `expected` codes.

        Raises:
            RetryableError: MLflow does not answer or reports a server error.
            PermanentError: MLflow refuses with a code of FOREVER that is not expected.
        """
        try:
            return call()
        except MlflowException as error:
            if error.error_code in expected:
                return None
            reason = " ".join(str(error).split())[:500]
            if error.error_code in FOREVER:
                raise PermanentError(f"MLflow at {self.uri} refuses: {reason}") from error
            raise RetryableError(f"MLflow at {self.uri} does not answer as it should: {reason}") from error


def _reach(uri: str, patience: float) -> None:
    def ask() -> None:
        # Any answer will do: what is wrong, the first call says.
        with cluster_session() as session:
            session.get(f"{uri.rstrip('/')}/health", timeout=10, stream=True).close()

    try:
        retry_until(time.monotonic() + patience, (OSError,), ask)
    except OSError as error:
        raise RetryableError(f"MLflow at {uri} does not answer: {error}") from error
