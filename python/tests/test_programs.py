"""The programs import nothing that their image does not have."""

import ast
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1]
PROGRAMS = [
    *sorted(FOLDER.glob("programs/*.py")),
    # These two run in Airflow's image but do not import Airflow.
    FOLDER / "airflow/lifecycle_settings.py",
    FOLDER / "airflow/lifecycle_watching.py",
    FOLDER / "lifecycle/cluster_http.py",
    FOLDER / "lifecycle/names.py",
]
# Packages that the images of Airflow and MLflow contain.
IN_IMAGE = {
    "airflow_job_alive": {"psycopg2"},
    "cluster_http": {"requests"},
    "lifecycle_watching": {"requests"},
    "migrate_mlflow": {"psycopg2"},
    "mlflow_ready": {"requests"},
    "wait_for_buckets": {"boto3", "botocore"},
    "wait_for_postgres": {"psycopg2"},
}
# Modules that ConfigMaps put beside the programs.
MOUNTED = {
    "generate_secrets": {"kubernetes_api"},
    "pipeline_dags": {"kubernetes_api", "lifecycle.names"},
    "run_step": {"lifecycle.names"},
    "lifecycle_settings": {"lifecycle.names", "lifecycle.spec"},
    "lifecycle_watching": {"lifecycle.cluster_http", "lifecycle.names"},
    "mlflow_ready": {"lifecycle.cluster_http"},
}


def imported(program: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(program.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            # Keep the module's name: a pod has only some modules of the package `lifecycle`.
            names.add(module if module.startswith("lifecycle.") else module.split(".")[0])
    return names


def test_there_are_programs() -> None:
    assert len(PROGRAMS) == 14


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_imports_what_its_image_has(program: Path) -> None:
    needed = imported(program) - set(sys.stdlib_module_names)
    assert needed == IN_IMAGE.get(program.stem, set()) | MOUNTED.get(program.stem, set())


def calling(word: str) -> set[str]:
    """The names of the modules, other than tests, whose code contains this text."""
    folders = ("airflow", "lifecycle", "programs")
    modules = (module for folder in folders for module in FOLDER.glob(f"{folder}/**/*.py"))
    return {module.stem for module in modules if word in module.read_text()}


def test_http_clients_are_cluster_sessions_where_requests_is_installed() -> None:
    assert calling("urllib.request") == {"check_step"}
    # http.client does not use a proxy. `traffic` counts broken connections; `kubernetes_api` has no requests.
    assert calling("HTTPConnection(") == {"kubernetes_api", "traffic"}
    # `http` reads a source outside of the cluster, possibly through a proxy.
    assert calling("requests.Session(") == {"cluster_http", "http"}


def test_retries_are_those_of_tenacity_where_it_is_installed() -> None:
    # The last two pause between rounds and do not retry.
    without = {"check_step", "run_step", "wait_for_buckets", "wait_for_postgres"}
    assert calling("time.sleep") == without | {"pipeline_dags", "traffic"}
