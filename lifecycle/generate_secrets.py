"""Makes each missing Secret of a plan, once, and never overwrites one.

Runs in the cluster as a Job. The API server decides the race between several
runs: creating an existing Secret answers 409, and that answer is success. Only
a Secret that lives in several namespaces is ever read, to copy it.
"""

import base64
import json
import secrets
import string
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kubernetes_api import Call, Request, api_server

ALPHABET = string.ascii_letters + string.digits

RECIPES: Mapping[str, Callable[[], str]] = {
    "password": lambda: "".join(secrets.choice(ALPHABET) for _ in range(32)),
    "fernet": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
}


def make_missing(plan: dict[str, Any], call: Call) -> list[str]:
    """Create every Secret of the plan that does not exist; return a line for each.

    Raises RuntimeError when the API server refuses for any reason but existence.
    """
    lines = []
    for entry in plan["secrets"]:
        first, *others = entry["namespaces"]
        values = {key: _value(recipe) for key, recipe in entry["keys"].items()}
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        lines.append(_create(first, entry["name"], data, call))
        for namespace in others:
            lines.append(_create(namespace, entry["name"], _read(first, entry["name"], call), call))
    return lines


def _value(recipe: str | dict[str, str]) -> str:
    return RECIPES[recipe]() if isinstance(recipe, str) else recipe["literal"]


def _create(namespace: str, name: str, data: dict[str, str], call: Call) -> str:
    labels = {"app.kubernetes.io/managed-by": "mlops-lifecycle", "app.kubernetes.io/part-of": "mlops-platform"}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "type": "Opaque",
        "data": data,
    }
    answer = call(Request("POST", f"/api/v1/namespaces/{namespace}/secrets", json.dumps(secret)))
    if answer.status == 201:
        return f"{namespace}/{name}: made"
    if answer.status == 409:
        return f"{namespace}/{name}: exists, left alone"
    raise RuntimeError(f"{namespace}/{name}: the API server answered {answer.reason}")


def _read(namespace: str, name: str, call: Call) -> dict[str, str]:
    answer = call(Request("GET", f"/api/v1/namespaces/{namespace}/secrets/{name}"))
    if answer.status != 200:
        raise RuntimeError(f"{namespace}/{name}: the API server answered {answer.reason}")
    data: dict[str, str] = answer.body["data"]
    return data


if __name__ == "__main__":
    for line in make_missing(json.loads(Path(sys.argv[1]).read_text()), api_server()):
        print(line)
