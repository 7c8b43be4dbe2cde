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

from kubernetes_api import Call, Refused, Request, api_server

ALPHABET = string.ascii_letters + string.digits

RECIPES: Mapping[str, Callable[[], str]] = {
    "password": lambda: "".join(secrets.choice(ALPHABET) for _ in range(32)),
    "fernet": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
}


def make_missing(plan: dict[str, Any], call: Call, say: Callable[[str], None] = print) -> list[str]:
    """Create every Secret of the plan that does not exist, and say a line for each.

    One that is refused does not stop the others; what was refused is returned, a line each.
    Raises OSError when the API server cannot be reached.
    """
    refused = []
    for entry in plan["secrets"]:
        try:
            _make(entry, call, say)
        except Refused as refusal:
            refused.append(str(refusal))
    return refused


def _make(entry: dict[str, Any], call: Call, say: Callable[[str], None]) -> None:
    first, *others = entry["namespaces"]
    values = {key: _value(recipe) for key, recipe in entry["keys"].items()}
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    say(_create(first, entry["name"], data, call))
    for namespace in others:
        # What is copied is what was stored: another run may have been faster.
        say(_create(namespace, entry["name"], _read(first, entry["name"], call), call))


def _value(recipe: str | dict[str, str]) -> str:
    return RECIPES[recipe]() if isinstance(recipe, str) else recipe["literal"]


def _create(namespace: str, name: str, data: dict[str, str], call: Call) -> str:
    labels = {
        "app.kubernetes.io/managed-by": "mlops-lifecycle",
        "app.kubernetes.io/part-of": "mlops-platform",
    }
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
    raise Refused(f"{namespace}/{name} cannot be made: {answer.reason}")


def _read(namespace: str, name: str, call: Call) -> dict[str, str]:
    answer = call(Request("GET", f"/api/v1/namespaces/{namespace}/secrets/{name}"))
    if answer.status != 200:
        raise Refused(f"{namespace}/{name} cannot be read: {answer.reason}")
    data: dict[str, str] = answer.body.get("data", {})
    return data


def main(plan: dict[str, Any], call: Call) -> int:
    """Return the exit status. After 1 Kubernetes starts the Job again, after a longer wait each time."""
    try:
        refused = make_missing(plan, call)
    except OSError as error:
        refused = [f"the API server cannot be reached: {error}"]
    for line in refused:
        print(line, file=sys.stderr)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(json.loads(Path(sys.argv[1]).read_text()), api_server()))
