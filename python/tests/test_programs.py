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
    FOLDER / "lifecycle/names.py",
]
# Packages that the images of Airflow and MLflow contain.
IN_IMAGE = {
    "airflow_job_alive": {"psycopg2"},
    "migrate_mlflow": {"psycopg2"},
    "wait_for_buckets": {"boto3", "botocore"},
    "wait_for_postgres": {"psycopg2"},
}
# Modules that ConfigMaps put beside the programs.
MOUNTED = {
    "generate_secrets": {"kubernetes_api"},
    "pipeline_dags": {"kubernetes_api", "lifecycle.names"},
    "run_step": {"lifecycle.names"},
    "lifecycle_settings": {"lifecycle.names", "lifecycle.spec"},
    "lifecycle_watching": {"lifecycle.names"},
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
    assert len(PROGRAMS) == 13


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_imports_what_its_image_has(program: Path) -> None:
    needed = imported(program) - set(sys.stdlib_module_names)
    assert needed == IN_IMAGE.get(program.stem, set()) | MOUNTED.get(program.stem, set())
