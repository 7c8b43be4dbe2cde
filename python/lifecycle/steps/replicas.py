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
from lifecycle.exits import Stopped

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
    """Ask every replica behind TRITON_REPLICAS, `host:port` of a headless Service.

    Returns:
        The replicas that answered, and for each other one why it did not. Both empty: there is none.

    Raises:
        Stopped: TRITON_REPLICAS is not of that form.
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
    given = environ.get("TRITON_REPLICAS", "")
    host, _, port = given.rpartition(":")
    if not host or not port.isdigit():
        raise Stopped(f"TRITON_REPLICAS must be host:port of Triton's headless Service, got {given!r}")
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
    mine: Counter[str] = Counter()
    its: Counter[str] = Counter()
    for address in at:
        for name, labels, value in SAMPLE.findall(_get(address, "metrics").decode()):
            said = dict(LABEL.findall(labels))
            if said.get("model") != model:
                continue
            if name == "mlops_shadow_bin_total":
                its[said["bin"]] += int(float(value))
            if name == "mlops_shadowed_bin_total":
                mine[said["bin"]] += int(float(value))
    places = sorted(mine.keys() | its.keys())
    total = max(1, sum(mine.values()))
    return psi([mine[place] / total for place in places], [its[place] for place in places])


def _replica(address: str, model: str) -> Replica:
    status = json.loads(_get(address, "status"))
    # A sidecar that has not read this pointer yet knows nothing of the model.
    said = status["models"].get(model, {})
    return Replica(
        address=address,
        wanted=said.get("wanted"),
        serving=said.get("serving"),
        shadow=said.get("shadow"),
        shadow_rows=int(said.get("shadowRows") or 0),
        refused={int(version): str(reason) for version, reason in (said.get("refused") or {}).items()},
    )


def _get(address: str, path: str) -> bytes:
    # Never through a proxy: a pod's address means nothing there.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{address}/{path}", timeout=SECONDS) as answer:
        return bytes(answer.read())
