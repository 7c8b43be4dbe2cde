"""Keeps the folder from which Airflow reads its DAGs.

It runs beside every component that reads DAGs. In the folder it puts the files
that all pipelines share, from a mounted ConfigMap, and one file for each
pipeline, from the ConfigMap that the pipeline left: applying a pipeline's
manifests is all it takes to run it. A file is replaced at once or not at all,
and a spec that cannot be read leaves what is there.
"""

import json
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

from kubernetes_api import Call, Refused, Request, api_server
from lifecycle.names import API_VERSION, PIPELINE_LABEL, SPEC_FILE

SECONDS_BETWEEN_LOOKS = 5
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

# JSON never has three quotes in a row, and a raw string keeps its backslashes.
FILE = '''"""The DAGs of the pipeline {name}, for Airflow.

Written from its ConfigMap: a change here does not last.
"""

from lifecycle_dags import dags

globals().update(dags(r"""{spec}"""))
'''


@dataclass
class Found:
    """What the ConfigMaps hold.

    Attributes:
        files: name of a file for Airflow to its text.
        kept: names of files that stay as they are, whatever they are.
        wrong: what cannot be read, a line each.
    """

    files: dict[str, str] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)


def look(namespace: str, shared: Path, folder: Path, call: Call) -> tuple[bool, list[str]]:
    """Look once and make the folder right.

    Returns:
        Whether the pipelines could be read, and what there is to tell, a line each.
    """
    files = texts(shared)
    try:
        found = pipelines(namespace, call)
    except OSError as error:
        return False, [f"the API server cannot be reached: {error}", *write(folder, files)]
    except Refused as refusal:
        return False, [str(refusal), *write(folder, files)]
    news = write(folder, files | found.files)
    return True, [*found.wrong, *news, *remove(folder, files.keys() | found.files.keys() | found.kept)]


def texts(folder: Path) -> dict[str, str]:
    """The text of each file of a mounted ConfigMap, by its path."""
    found = {}
    for path in folder.iterdir():
        if path.is_file():
            found[path.name] = path.read_text()
        # The folders that begin with two dots are the kubelet's: what lies in them is linked to.
        elif not path.name.startswith(".."):
            found |= {f"{path.name}/{name}": text for name, text in texts(path).items()}
    return found


def pipelines(namespace: str, call: Call) -> Found:
    """Read every pipeline's ConfigMap.

    Raises:
        Refused: they may not be read.
        OSError: no API server answers.
    """
    answer = call(
        Request("GET", f"/api/v1/namespaces/{namespace}/configmaps?labelSelector={quote(PIPELINE_LABEL)}")
    )
    if answer.status != 200:
        raise Refused(f"the ConfigMaps of {namespace} cannot be read: {answer.reason}")
    found = Found()
    for item in answer.body["items"]:
        name = item["metadata"]["labels"][PIPELINE_LABEL]
        file = f"pipeline-{name}.py"
        try:
            found.files[file] = dag_file(name, item.get("data", {}))
        except ValueError as error:
            found.wrong.append(f"ConfigMap {item['metadata']['name']}: {error}")
            found.kept.add(file)
    return found


def dag_file(name: str, data: Mapping[str, str]) -> str:
    """The text of the file that makes a pipeline's DAGs.

    Raises:
        ValueError: `data` holds no spec of the pipeline `name` that this release knows.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"its label {PIPELINE_LABEL} must be a DNS label, got {name!r}")
    if SPEC_FILE not in data:
        raise ValueError(f"it has no {SPEC_FILE}, only {', '.join(sorted(data)) or 'nothing'}")
    try:
        spec: Any = json.loads(data[SPEC_FILE])
    except ValueError as error:
        raise ValueError(f"{SPEC_FILE} is no JSON: {error}") from error
    if not isinstance(spec, dict) or spec.get("name") != name:
        raise ValueError(f"{SPEC_FILE} must be the spec of {name!r}, got {data[SPEC_FILE][:80]!r}")
    if spec.get("apiVersion") != API_VERSION:
        raise ValueError(
            f"{SPEC_FILE}: apiVersion must be {API_VERSION!r}, got {spec.get('apiVersion')!r}: "
            "synthesize the pipeline with this release, or deploy the platform of its own"
        )
    return FILE.format(name=name, spec=json.dumps(spec, indent=2, sort_keys=True))


def write(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Write the files that differ; return a line for each."""
    news = []
    for name, text in sorted(files.items()):
        path = folder / name
        if path.exists() and path.read_text() == text:
            continue
        # Airflow reads files that end in .py, and whenever it likes.
        path.parent.mkdir(exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(text)
        partial.replace(path)
        news.append(f"{name}: written")
    return news


def remove(folder: Path, wanted: set[str]) -> list[str]:
    """Remove every DAG file that is not wanted; return a line for each."""
    names = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.py")))
    gone = [name for name in names if name not in wanted]
    for name in gone:
        (folder / name).unlink()
    return [f"{name}: removed" for name in gone]


def main(
    namespace: str,
    shared: Path,
    folder: Path,
    ready_file: Path,
    call: Call,
    sleep: Callable[[float], None] = time.sleep,
) -> NoReturn:
    """Look for ever. The ready file appears once the folder is whole, and stays: old DAGs beat none."""
    told: list[str] = []
    while True:
        whole, lines = look(namespace, shared, folder, call)
        for line in lines if lines != told else []:
            print(line, flush=True)
        told = lines
        if whole:
            ready_file.touch()
        sleep(SECONDS_BETWEEN_LOOKS)


if __name__ == "__main__":
    # Linux drops an unhandled SIGTERM to a container's first process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    own_namespace, *paths = sys.argv[1:]
    shared_files, dag_folder, ready = map(Path, paths)
    main(own_namespace, shared_files, dag_folder, ready, api_server())
