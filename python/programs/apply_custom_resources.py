"""Keeps custom resources as ConfigMaps describe them.

`kubectl apply` looks every kind up before it sends the first object, so a
custom resource beside its own definition fails on a fresh cluster, always.
The platform's custom resources therefore travel in ConfigMaps with the label
below, one resource a key, and this program applies them: once their
definitions are there, again when they change, and it deletes what no
ConfigMap holds any more. A key says where its resource lives:
`<group>_<version>_<plural>_<namespace>_<name>.yaml`.
"""

import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from kubernetes_api import Call, Refused, Request, api_server

LABEL = "mlops-lifecycle/custom-resources"
OWNED = "app.kubernetes.io/managed-by=mlops-lifecycle"
MANAGER = "mlops-lifecycle"
SECONDS_BETWEEN_LOOKS = 10
SECONDS_BETWEEN_REPAIRS = 300


@dataclass(frozen=True, order=True)
class Place:
    """Where a custom resource lives."""

    group: str
    version: str
    plural: str
    namespace: str
    name: str

    @classmethod
    def of_key(cls, key: str) -> "Place":
        """Raise ValueError for a key of another form."""
        parts = key.removesuffix(".yaml").split("_")
        if not key.endswith(".yaml") or len(parts) != 5 or not all(parts):
            raise ValueError(f"'{key}' is not <group>_<version>_<plural>_<namespace>_<name>.yaml")
        return cls(*parts)

    @property
    def collection(self) -> str:
        """Path of all the resources of this kind in this namespace."""
        return f"/apis/{self.group}/{self.version}/namespaces/{self.namespace}/{self.plural}"

    @property
    def path(self) -> str:
        """Path of this resource."""
        return f"{self.collection}/{self.name}"


Wanted = dict[Place, str]


@dataclass(frozen=True)
class State:
    """What a look left. `applied` is None unless everything wanted is there."""

    applied: Wanted | None = None
    repair_at: float = 0.0


def look(
    state: State, namespace: str, kinds: Iterable[Place], call: Call, now: float
) -> tuple[State, list[str]]:
    """Look once and put right what differs; return the new state and what there is to tell, a line each."""
    try:
        resources, misnamed = wanted(namespace, call)
        if resources == state.applied and not misnamed and now < state.repair_at:
            return state, []
        refused = [*misnamed, *apply(resources, call)]
        deleted: list[str] = []
        # A key that cannot be read may belong to a resource that is there: delete nothing meanwhile.
        if not misnamed:
            deleted, kept = prune(resources, kinds, call)
            refused += kept
    except OSError as error:
        return State(), [f"the API server cannot be reached: {error}"]
    except Refused as refusal:
        return State(), [str(refusal)]
    if refused:
        return State(), [*deleted, *refused]
    news = [] if resources == state.applied else [f"{len(resources)} custom resources are there"]
    return State(resources, now + SECONDS_BETWEEN_REPAIRS), [*deleted, *news]


def wanted(namespace: str, call: Call) -> tuple[Wanted, list[str]]:
    """What the ConfigMaps hold: each place with the YAML that belongs there, and a line for each bad key.

    Raises Refused when they cannot be read, so that nothing is deleted for that.
    """
    answer = call(Request("GET", f"/api/v1/namespaces/{namespace}/configmaps?labelSelector={quote(LABEL)}"))
    if answer.status != 200:
        raise Refused(f"the ConfigMaps of {namespace} cannot be read: {answer.reason}")
    resources: Wanted = {}
    misnamed = []
    for item in answer.body["items"]:
        for key, text in item.get("data", {}).items():
            try:
                resources[Place.of_key(key)] = text
            except ValueError as error:
                misnamed.append(f"ConfigMap {item['metadata']['name']}: {error}")
    return resources, misnamed


def apply(resources: Wanted, call: Call) -> list[str]:
    """Apply each resource; return what was refused, a line each."""
    query = f"?fieldManager={MANAGER}&fieldValidation=Strict&force=true"
    refused = []
    for place, text in sorted(resources.items()):
        answer = call(Request("PATCH", place.path + query, text, "application/apply-patch+yaml"))
        if answer.status not in (200, 201):
            refused.append(f"{place.path}: {answer.reason}")
    return refused


def prune(resources: Wanted, kinds: Iterable[Place], call: Call) -> tuple[list[str], list[str]]:
    """Delete what carries our label and no ConfigMap holds; return what was deleted and what was refused."""
    deleted, refused = [], []
    for kind in sorted({Place(k.group, k.version, k.plural, k.namespace, "") for k in kinds}):
        answer = call(Request("GET", f"{kind.collection}?labelSelector={quote(OWNED)}"))
        if answer.status == 404:  # Of a kind without a definition there is nothing.
            continue
        if answer.status != 200:
            refused.append(f"{kind.collection}: {answer.reason}")
            continue
        for item in answer.body["items"]:
            place = Place(kind.group, kind.version, kind.plural, kind.namespace, item["metadata"]["name"])
            if place in resources:
                continue
            answer = call(Request("DELETE", place.path))
            if answer.status in (200, 202, 404):
                deleted.append(f"{place.path}: deleted")
            else:
                refused.append(f"{place.path}: {answer.reason}")
    return deleted, refused


def main(
    namespace: str,
    ready_file: Path,
    kinds: list[Place],
    call: Call,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> NoReturn:
    """Look for ever. The ready file exists while everything wanted is there."""
    # A container that starts again finds the files of the one before it.
    ready_file.unlink(missing_ok=True)
    state = State()
    told: list[str] = []
    while True:
        state, lines = look(state, namespace, kinds, call, clock())
        for line in lines if lines != told else []:
            print(line, flush=True)
        told = lines
        if state.applied is None:
            ready_file.unlink(missing_ok=True)
        else:
            ready_file.touch()
        sleep(SECONDS_BETWEEN_LOOKS)


if __name__ == "__main__":
    # Linux drops an unhandled SIGTERM to a container's first process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    own_namespace, file, *kind_keys = sys.argv[1:]
    main(own_namespace, Path(file), [Place.of_key(key) for key in kind_keys], api_server())
