"""Small programs that the suites run in a step's pod. Each function is one; its result is printed as JSON."""

import hashlib
import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from typing import Any

import boto3
import numpy as np

MODELS = boto3.client("s3")


def read(key: str, bucket: str = "models") -> bytes:
    """The bytes of an object in the store."""
    return bytes(MODELS.get_object(Bucket=bucket, Key=key)["Body"].read())


def write(key: str, data: bytes, bucket: str = "models") -> None:
    """Write an object into the store, over one that may be there."""
    MODELS.put_object(Bucket=bucket, Key=key, Body=data)


def ask(model: str, rows: np.ndarray, request_id: str = "") -> tuple[str, np.ndarray]:
    """Ask Triton through its Service: the version that answered, and predictions of shape [rows, outputs]."""
    tensor = {
        "name": "features",
        "datatype": "FP32",
        "shape": list(rows.shape),
        "data": rows.ravel().tolist(),
    }
    request = urllib.request.Request(
        f"http://{os.environ['TRITON_HTTP_URL']}/v2/models/{model}/infer",
        json.dumps({"id": request_id, "inputs": [tensor]}).encode(),
    )
    body = patiently(lambda: json.load(urllib.request.urlopen(request, timeout=30)))
    output = body["outputs"][0]
    return body["model_version"], np.asarray(output["data"]).reshape(output["shape"])


def status() -> list[dict[str, Any]]:
    """The answer of each replica's sidecar to `GET /status`."""
    import socket

    host, port = os.environ["TRITON_REPLICAS"].split(":")
    found = patiently(lambda: socket.getaddrinfo(host, int(port), socket.AF_INET))
    addresses = sorted({entry[4][0] for entry in found})

    def page(address: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://{address}:{port}/status", timeout=10) as answer:
            return dict(json.load(answer))

    return [patiently(partial(page, one)) for one in addresses]


def patiently(call: Callable[[], Any]) -> Any:
    """Call again for up to 15 s while the network fails: a new pod may be refused for a moment."""
    end = time.monotonic() + 15
    while True:
        try:
            return call()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(1)


def awaited(look: Callable[[], Any], wanted: Callable[[Any], bool], seconds: float = 180) -> Any:
    """Look once a second until what is seen is as wanted, and return that; exit after `seconds`."""
    end = time.monotonic() + seconds
    while not wanted(seen := look()):
        if time.monotonic() > end:
            raise SystemExit(f"after {seconds:.0f} s it is still {seen}")
        time.sleep(1)
    return seen


def golden(model: str) -> dict[str, Any]:
    """The largest difference between Triton's answers and those of the trained model itself."""
    version = json.loads(read(f"{model}/pointer.json"))["version"]
    expected = json.loads(read(f"{model}/versions/{version}/golden.json"))
    served, answers = ask(model, np.asarray(expected["inputs"], np.float32))
    return {
        "version": version,
        "served": served,
        "rows": len(answers),
        "difference": float(np.abs(answers - np.asarray(expected["outputs"])).max()),
    }


def lineage(model: str) -> dict[str, Any]:
    """The version that serves, with its tags and metrics, and the batch that it was trained on."""
    from mlflow import MlflowClient

    client = MlflowClient()
    version = client.get_model_version_by_alias(model, "champion")
    tags = version.tags
    batch = json.loads(read(f"{model}/raw/{tags['lifecycle.batch']}/manifest.json", "data"))
    aliases = client.get_registered_model(model).aliases
    return {
        "version": int(version.version),
        "versions": len(client.search_model_versions(f"name='{model}'")),
        "aliases": {name: int(number) for name, number in aliases.items()},
        "tags": tags,
        "metrics": client.get_run(version.run_id).data.metrics,
        "sourceSha256": batch["sourceSha256"],
        "batchSha256": batch["sha256"],
        "quarantined": batch["quarantined"],
        "rows": batch["rows"],
    }


def switch(model: str, *versions: str) -> dict[str, Any]:
    """Point to one version after the other, and wait each time until every replica serves it."""
    seconds = []
    for version in versions:
        pointer = json.loads(read(f"{model}/pointer.json"))
        begin = time.monotonic()
        write(f"{model}/pointer.json", json.dumps({**pointer, "version": int(version)}).encode())
        while any(one["models"].get(model, {}).get("serving") != int(version) for one in status()):
            if time.monotonic() - begin > 120:
                raise SystemExit(f"version {version} is not served: {status()}")
            time.sleep(0.1)
        seconds.append(round(time.monotonic() - begin, 2))
    return {"rollouts": len(seconds), "slowestSeconds": max(seconds)}


def corrupt(model: str, kind: str, number: str) -> dict[str, Any]:
    """Point to a version that is bad in one way, and back once every replica has refused it."""
    pointer = json.loads(read(f"{model}/pointer.json"))
    good = f"{model}/versions/{pointer['version']}"
    manifest = json.loads(read(f"{good}/manifest.json"))
    files = {name: read(f"{good}/{name}") for name in manifest["files"]}
    files = {**files, **BROKEN[kind](files)}
    shown = {
        name: {"sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)} for name, body in files.items()
    }
    if kind == "changed bytes":
        files["model.onnx"] = files["model.onnx"][:-1] + b"!"
    if kind == "truncated":
        files["model.onnx"] = files["model.onnx"][: len(files["model.onnx"]) // 2]
    bad = f"{model}/versions/{number}"
    for name, body in files.items():
        if kind != "missing file" or name != "model.onnx":
            write(f"{bad}/{name}", body)
    if kind != "missing manifest":
        write(
            f"{bad}/manifest.json", json.dumps({**manifest, "version": int(number), "files": shown}).encode()
        )
    write(f"{model}/pointer.json", json.dumps({**pointer, "version": int(number)}).encode())
    end = time.monotonic() + 90
    while any(number not in one["models"].get(model, {}).get("refused", {}) for one in status()):
        if time.monotonic() > end:
            raise SystemExit(f"it is not refused: {status()}")
        time.sleep(0.2)
    seen = [one["models"][model] for one in status()]
    write(f"{model}/pointer.json", json.dumps(pointer).encode())
    return {"serving": [one["serving"] for one in seen], "reason": seen[0]["refused"][number]}


def lay(prefix: str, *files: str) -> dict[str, Any]:
    """Write the files of a batch below a prefix, where a source of type s3 finds them."""
    for number, text in enumerate(files):
        write(f"{prefix}part-{number}.csv", text.encode(), "data")
    return {"files": len(files)}


def collected(model: str, batch: str) -> dict[str, Any]:
    """A batch's manifest, and the times of its first and its last good row."""
    import io

    import pandas as pd

    folder = f"{model}/raw/{batch}"
    manifest = json.loads(read(f"{folder}/manifest.json", "data"))
    rows = pd.read_parquet(io.BytesIO(read(f"{folder}/data-{manifest['sha256']}.parquet", "data")))
    return {**manifest, "first": rows["time"].min().isoformat(), "last": rows["time"].max().isoformat()}


def ask_each(model: str, prefix: str, values: str) -> list[list[Any]]:
    """Ask about one value after the other, each under an id: pairs of version and answer."""
    said = []
    for number, value in enumerate(json.loads(values)):
        version, answers = ask(model, np.asarray([[value]], np.float32), f"{prefix}-{number}")
        said.append([version, float(answers[0][0])])
    return said


def sampled(model: str, version: str, prefix: str, wanted: str) -> dict[str, Any]:
    """The sampled requests whose ids begin with the prefix, once `wanted` of them are in the object store."""

    def look() -> dict[str, Any]:
        found = MODELS.list_objects_v2(Bucket="data", Prefix=f"{model}/payloads/{version}/")
        keys = [each["Key"] for each in found.get("Contents", [])]
        lines = [json.loads(line) for key in keys for line in read(key, "data").splitlines()]
        mine = [each for each in lines if each["requestId"].startswith(prefix)]
        return {"objects": len(keys), "requests": mine}

    return dict(awaited(look, lambda seen: len(seen["requests"]) >= int(wanted)))


def error(model: str) -> dict[str, Any]:
    """The live model's error, once it is measured."""

    def look() -> dict[str, Any] | None:
        try:
            return dict(json.loads(read(f"{model}/status/error.json")))
        except MODELS.exceptions.NoSuchKey:
            return None

    return dict(awaited(look, lambda seen: seen is not None))


def reaches(host: str, *ports: str) -> dict[str, Any]:
    """To which ports of a host this pod can connect, and whether it has the login of the database."""
    import socket

    def connects(port: str) -> bool:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except OSError:
            return False
        return True

    return {
        "connects": {port: connects(port) for port in ports},
        "knows": "SOURCE_DATABASE_URL" in os.environ,
    }


def withdraw(*models: str) -> list[str]:
    """Delete the pointers of models, wait until no replica knows them, and return the other models' names."""
    for model in models:
        MODELS.delete_object(Bucket="models", Key=f"{model}/pointer.json")
    seen = awaited(
        status, lambda replicas: not any(model in one["models"] for one in replicas for model in models)
    )
    return sorted({name for one in seen for name in one["models"]})


def other_answers(files: dict[str, bytes]) -> dict[str, bytes]:
    """A golden.json whose predictions are not the model's."""
    golden = json.loads(files["golden.json"])
    golden["outputs"] = [[value + 1 for value in row] for row in golden["outputs"]]
    return {"golden.json": json.dumps(golden).encode()}


def other_shape(files: dict[str, bytes]) -> dict[str, bytes]:
    """A config.json with one input more than the model has."""
    config = json.loads(files["config.json"])
    return {"config.json": json.dumps({**config, "inputs": config["inputs"] + 1}).encode()}


BROKEN = {
    "changed bytes": lambda files: {},
    "truncated": lambda files: {},
    "missing file": lambda files: {},
    "missing manifest": lambda files: {},
    "no model": lambda files: {"model.onnx": b"this is no model"},
    "wrong shape": other_shape,
    "wrong answers": other_answers,
}

if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
