"""Triton's replicas as their sidecars describe them."""

import http.client
import json
import re
import socket
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lifecycle.baseline import psi
from lifecycle.exits import PermanentError
from lifecycle.names import ENVIRONMENT, METRICS, STATUS_PATH

SECONDS = 5.0
SAMPLE = re.compile(r"^(\w+)\{(.*)\} (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Replica:
    """What one replica says of one model. Versions are numbers or None; `refused` gives a reason for each."""

    address: str
    wanted: int | None
    serving: int | None
    shadow: int | None
    shadow_rows: int
    refused: Mapping[int, str]


def replicas(model: str, environ: Mapping[str, str]) -> tuple[list[Replica], list[str]]:
    """Ask every replica behind the `host:port` of a headless Service that the environment names.

    Returns:
        The replicas that answered, and for each other one why it did not. Both empty: there is none.

    Raises:
        PermanentError: The environment names none of that form.
    """
    answered, silent = [], []
    for address in addresses(environ):
        try:
            answered.append(_replica(address, model))
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError) as error:
            silent.append(f"{address}: {error!r}")
    return answered, silent


def addresses(environ: Mapping[str, str]) -> list[str]:
    """The address of each replica, `ip:port`, sorted; none where the name resolves to nothing."""
    given = environ.get(ENVIRONMENT.triton_replicas, "")
    host, _, port = given.rpartition(":")
    if not host or not port.isdigit():
        raise PermanentError(
            f"{ENVIRONMENT.triton_replicas} must be host:port of Triton's headless Service, got {given!r}"
        )
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except socket.gaierror:
        # A headless Service without a ready pod has no address.
        return []
    ips = sorted({str(each[4][0]) for each in found})
    return [f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}" for ip in ips]


def shadow_distance(at: Sequence[str], model: str) -> float:
    """The PSI between the champion's and its shadow's predictions on the rows that the shadow scored.

    Args:
        at: Addresses of replicas.
        model: The pipeline.

    Raises:
        OSError: A replica does not answer.
        http.client.HTTPException: What it answers is no HTTP.
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
    # A sidecar that has not read this pointer yet knows nothing of the model.
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
    # Never through a proxy: a pod's address means nothing there.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{address}{path}", timeout=SECONDS) as answer:
        return bytes(answer.read())
