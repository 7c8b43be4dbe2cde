"""Keeps custom resources as ConfigMaps describe them.

`kubectl apply` looks every kind up before it sends the first object, so a
custom resource beside its own definition fails on a fresh cluster, always.
The platform's custom resources therefore travel in ConfigMaps with the label
below, one resource a key, and this program applies them: once their
definitions are there, again when they change, and it deletes what no
ConfigMap holds any more. A key says where its resource lives:
`<group>_<version>_<plural>_<namespace>_<name>.yaml`.
"""

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kubernetes_api import Call, Request, api_server

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


def wanted(namespace: str, call: Call) -> Wanted:
    """What the ConfigMaps hold: each place and the YAML that belongs there.

    Raises RuntimeError when they cannot be read, so that nothing is deleted for that.
    """
    answer = call(Request("GET", f"/api/v1/namespaces/{namespace}/configmaps?labelSelector={quote(LABEL)}"))
    if answer.status != 200:
        raise RuntimeError(f"the ConfigMaps of {namespace}: {answer.reason}")
    maps: list[dict[str, Any]] = answer.body["items"]
    return {Place.of_key(key): text for item in maps for key, text in item.get("data", {}).items()}


def apply(resources: Wanted, call: Call) -> list[str]:
    """Apply each resource; return what was refused, a line each."""
    query = f"?fieldManager={MANAGER}&fieldValidation=Strict&force=true"
    refused = []
    for place, text in sorted(resources.items()):
        answer = call(Request("PATCH", place.path + query, text, "application/apply-patch+yaml"))
        if answer.status not in (200, 201):
            refused.append(f"{place.path}: {answer.reason}")
    return refused


def prune(resources: Wanted, kinds: Iterable[Place], call: Call) -> list[str]:
    """Delete what carries our label and no ConfigMap holds; return a line for each."""
    deleted = []
    for kind in sorted({Place(k.group, k.version, k.plural, k.namespace, "") for k in kinds}):
        answer = call(Request("GET", f"{kind.collection}?labelSelector={quote(OWNED)}"))
        for item in answer.body.get("items", []) if answer.status == 200 else []:
            place = Place(kind.group, kind.version, kind.plural, kind.namespace, item["metadata"]["name"])
            if place not in resources:
                call(Request("DELETE", place.path))
                deleted.append(f"{place.path}: deleted")
    return deleted


def main(namespace: str, ready_file: Path, kinds: list[Place], call: Call) -> None:
    """Look for ever. The ready file exists while everything wanted is there."""
    applied: Wanted = {}
    due = 0.0
    while True:
        try:
            resources = wanted(namespace, call)
            if resources != applied or time.monotonic() >= due:
                refused = apply(resources, call)
                for line in [*refused, *prune(resources, kinds, call)]:
                    print(line, flush=True)
                if refused:
                    ready_file.unlink(missing_ok=True)
                else:
                    if resources != applied:
                        print(f"{len(resources)} custom resources are there", flush=True)
                    applied, due = resources, time.monotonic() + SECONDS_BETWEEN_REPAIRS
                    ready_file.touch()
        except (OSError, RuntimeError, ValueError) as error:
            print(error, flush=True)
            ready_file.unlink(missing_ok=True)
        time.sleep(SECONDS_BETWEEN_LOOKS)


if __name__ == "__main__":
    own_namespace, file, *kind_keys = sys.argv[1:]
    main(own_namespace, Path(file), [Place.of_key(key) for key in kind_keys], api_server())
