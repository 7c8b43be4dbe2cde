"""Keeps Airflow's DAG folder equal to the ConfigMaps of the pipelines.

It runs as a container beside every component of Airflow that reads DAGs. It copies the files that all
pipelines share from a mounted ConfigMap, and writes one file for each pipeline from the pipeline's own
ConfigMap, so that applying a pipeline's manifests creates its DAGs. Files are replaced atomically. If a spec
cannot be read, the pipeline's existing file stays.
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

# A raw string holds the spec: JSON never has three quotes in a row, and a raw string keeps backslashes.
FILE = '''"""The DAGs of the pipeline {name}, for Airflow.

Written from its ConfigMap: a change here does not last.
"""

from lifecycle_dags import dags

globals().update(dags(r"""{spec}"""))
'''


@dataclass
class Found:
    """The result of reading the pipelines' ConfigMaps.

    Attributes:
        files: Texts of the DAG files, by file name.
        kept: Names of DAG files that must stay as they are, because their pipeline's spec cannot be read.
        wrong: A line for each spec that cannot be read.
    """

    files: dict[str, str] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)


def look(namespace: str, shared: Path, folder: Path, call: Call) -> tuple[bool, list[str]]:
    """Update the folder once.

    Args:
        namespace: Namespace of the pipelines' ConfigMaps.
        shared: Folder where the ConfigMap of the shared files is mounted.
        folder: Airflow's DAG folder.
        call: Calls the API server.

    Returns:
        Whether the pipelines could be read, and lines for the log. If they could not, only the shared files
        are updated and no file is removed.
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
    """Return the text of each file of a mounted ConfigMap, by its path relative to `folder`."""
    found = {}
    for path in folder.iterdir():
        if path.is_file():
            found[path.name] = path.read_text()
        # Skip the kubelet's own folders, which begin with two dots; the other entries link into them.
        elif not path.name.startswith(".."):
            found |= {f"{path.name}/{name}": text for name, text in texts(path).items()}
    return found


def pipelines(namespace: str, call: Call) -> Found:
    """Read the ConfigMaps of all pipelines.

    Raises:
        Refused: The API server refuses the request.
        OSError: The API server does not answer.
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
    """Return the text of a pipeline's DAG file.

    Raises:
        ValueError: `data`, the ConfigMap's content, has no valid spec of the pipeline `name`, or the spec has
            another API version.
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
    """Write the files that are missing or differ; return a line for each."""
    news = []
    for name, text in sorted(files.items()):
        path = folder / name
        if path.exists() and path.read_text() == text:
            continue
        # Airflow may read .py files at any time, so the text is written to another file and renamed.
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
    """Update the folder for ever.

    The ready file is created after the first complete update and is never removed: DAGs that are out of date
    are better than none. Log lines are printed only if they differ from those of the last update.
    """
    printed: list[str] = []
    while True:
        complete, lines = look(namespace, shared, folder, call)
        for line in lines if lines != printed else []:
            print(line, flush=True)
        printed = lines
        if complete:
            ready_file.touch()
        sleep(SECONDS_BETWEEN_LOOKS)


if __name__ == "__main__":
    # The kernel ignores SIGTERM for process 1 of a container unless it has a handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    own_namespace, *paths = sys.argv[1:]
    shared_files, dag_folder, ready = map(Path, paths)
    main(own_namespace, shared_files, dag_folder, ready, api_server())
