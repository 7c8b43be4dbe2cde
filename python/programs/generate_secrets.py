"""Creates the missing Secrets of a plan; existing Secrets are never changed.

It runs in the cluster as a Job. Several runs at the same time are safe: the API server answers 409 to the
creation of an existing Secret, which counts as success. The program reads only Secrets that it copies to
other namespaces.
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
    """Create every Secret of the plan that does not exist.

    Args:
        plan: `{"secrets": [{"name", "namespaces", "keys"}, …]}`. The value of a key is a name in RECIPES or
            `{"literal": text}`. A Secret is created in its first namespace and copied to the others.
        call: Calls the API server.
        say: Receives a line for each Secret and namespace.

    Returns:
        A line for each Secret that the API server refused; the other Secrets are created nevertheless.

    Raises:
        OSError: The API server cannot be reached.
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
        # Copy the stored values, not `data`, because another run may have created the Secret first.
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
    """Return the exit status; after 1 Kubernetes starts the Job's pod again with growing pauses."""
    try:
        refused = make_missing(plan, call)
    except OSError as error:
        refused = [f"the API server cannot be reached: {error}"]
    for line in refused:
        print(line, file=sys.stderr)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(json.loads(Path(sys.argv[1]).read_text()), api_server()))
