"""What every program needs in its image, and no more."""

import ast
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1]
PROGRAMS = [
    *sorted(FOLDER.glob("programs/*.py")),
    # These two run in Airflow's image, and without Airflow here.
    FOLDER / "airflow/lifecycle_settings.py",
    FOLDER / "airflow/lifecycle_watching.py",
    FOLDER / "lifecycle/names.py",
]
# The images of Airflow and MLflow bring these.
BROUGHT = {
    "airflow_job_alive": {"psycopg2"},
    "migrate_mlflow": {"psycopg2"},
    "wait_for_buckets": {"boto3", "botocore"},
    "wait_for_postgres": {"psycopg2"},
}
# TypeScript puts these files beside them.
BESIDE = {
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
            # Of the package, a pod has the modules that are named and no other.
            names.add(module if module.startswith("lifecycle.") else module.split(".")[0])
    return names


def test_there_are_programs() -> None:
    assert len(PROGRAMS) == 13


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_imports_what_its_image_has(program: Path) -> None:
    needed = imported(program) - set(sys.stdlib_module_names)
    assert needed == BROUGHT.get(program.stem, set()) | BESIDE.get(program.stem, set())
