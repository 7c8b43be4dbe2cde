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
]
# The images of Airflow and MLflow bring it.
BROUGHT = {"airflow_job_alive": {"psycopg2"}, "migrate_mlflow": {"psycopg2"}}
# TypeScript puts this file beside these.
BESIDE = {
    "generate_secrets": {"kubernetes_api"},
    "apply_custom_resources": {"kubernetes_api"},
    "pipeline_dags": {"kubernetes_api"},
}


def imported(program: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(program.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


def test_there_are_programs() -> None:
    assert len(PROGRAMS) == 11


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_imports_what_its_image_has(program: Path) -> None:
    needed = imported(program) - set(sys.stdlib_module_names)
    assert needed == BROUGHT.get(program.stem, set()) | BESIDE.get(program.stem, set())
