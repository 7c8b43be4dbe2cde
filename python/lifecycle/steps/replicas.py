"""Reads the state of Triton's replicas from their sidecars over HTTP."""

import json
import re
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lifecycle.baseline import psi
from lifecycle.cluster_http import cluster_session
from lifecycle.exits import PermanentError
from lifecycle.names import ENVIRONMENT, METRICS, STATUS_PATH

SECONDS = 5.0
SAMPLE = re.compile(r"^(\w+)\{(.*)\} (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Replica:
    """One replica's state of one model.

    Attributes:
        address: The sidecar's `ip:port`.
        wanted: The version that the pointer names, as far as the replica has read it.
        serving: The version that serves.
        shadow: The version that scores as a shadow.
        shadow_rows: Number of rows that the shadow has scored.
        refused: Reason for each version that the replica refuses to serve.
    """

    address: str
    wanted: int | None
    serving: int | None
    shadow: int | None
    shadow_rows: int
    refused: Mapping[int, str]


def replicas(model: str, environ: Mapping[str, str]) -> tuple[list[Replica], list[str]]:
    """Read the state of a model from every replica behind the headless Service that the environment names.

    Returns:
        The replicas that answered, and a message for each that did not. Both lists are empty if there is no
        replica.

    Raises:
        PermanentError: The variable with the Service's `host:port` is missing or malformed.
    """
    answered, silent = [], []
    for address in addresses(environ):
        try:
            answered.append(_replica(address, model))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            silent.append(f"{address}: {error!r}")
    return answered, silent


def addresses(environ: Mapping[str, str]) -> list[str]:
    """Return each replica's `ip:port`, sorted; an empty list if the Service's name does not resolve.

    Raises:
        PermanentError: The variable with the Service's `host:port` is missing or malformed.
    """
    given = environ.get(ENVIRONMENT.triton_replicas, "")
    host, _, port = given.rpartition(":")
    if not host or not port.isdigit():
        raise PermanentError(
            f"{ENVIRONMENT.triton_replicas} must be host:port of Triton's headless Service, got {given!r}"
        )
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except socket.gaierror:
        # The name of a headless Service without ready pods does not resolve.
        return []
    ips = sorted({str(each[4][0]) for each in found})
    return [f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}" for ip in ips]


def shadow_distance(at: Sequence[str], model: str) -> float:
    """Return the PSI between the champion's and the shadow's predictions on the rows that the shadow scored.

    Args:
        at: Addresses of replicas.
        model: The pipeline's name.

    Raises:
        OSError: A replica does not answer, or answers with an error status.
    """
    shadowed: Counter[str] = Counter()
    shadow: Counter[str] = Counter()
    for address in at:
        for name, text, value in SAMPLE.findall(_get(address, "/metrics").decode()):
            labels = dict(LABEL.findall(text))
            if labels.get("model") != model:
                continue
            if name == METRICS.shadow_bin.name:
                shadow[labels["bin"]] += int(float(value))
            if name == METRICS.shadowed_bin.name:
                shadowed[labels["bin"]] += int(float(value))
    places = sorted(shadowed.keys() | shadow.keys())
    total = max(1, sum(shadowed.values()))
    return psi([shadowed[place] / total for place in places], [shadow[place] for place in places])


def _replica(address: str, model: str) -> Replica:
    status = json.loads(_get(address, STATUS_PATH))
    # A sidecar that has not read the pointer yet does not list the model.
    reported = status["models"].get(model, {})
    return Replica(
        address=address,
        wanted=reported.get("wanted"),
        serving=reported.get("serving"),
        shadow=reported.get("shadow"),
        shadow_rows=int(reported.get("shadowRows") or 0),
        refused={int(version): str(reason) for version, reason in (reported.get("refused") or {}).items()},
    )


def _get(address: str, path: str) -> bytes:
    with cluster_session() as session:
        answer = session.get(f"http://{address}{path}", timeout=SECONDS)
        answer.raise_for_status()
        return answer.content
