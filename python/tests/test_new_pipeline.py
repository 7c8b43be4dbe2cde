"""The files that `npm run new-pipeline` creates pass their own test."""

import subprocess
import sys
from pathlib import Path

TEMPLATE = Path(__file__).parents[2] / "scripts/templates/pipeline"


def test_its_own_test_passes(tmp_path: Path) -> None:
    for template in TEMPLATE.glob("*.py.template"):
        text = template.read_text().replace("NAME", "ice-cream")
        (tmp_path / template.name.removesuffix(".template")).write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
