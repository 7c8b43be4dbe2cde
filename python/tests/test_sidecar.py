"""The sidecar between a real Triton and a real object store."""

import hashlib
import json
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lifecycle import baseline, model_repository
from lifecycle.sidecar.__main__ import Sidecar
from lifecycle.sidecar.model_cache import ModelCache
from lifecycle.sidecar.triton_client import TritonClient
from lifecycle.store import json_bytes
from processes import SECONDS, Process, free_port, wait_until
from serving_stack import (
    FEATURES,
    KEY,
    Client,
    Page,
    SidecarProcess,
    Traffic,
    Triton,
    model_bytes,
    object_store_process,
    point,
    publish,
    sidecar_environ,
    store,
    training_rows,
    version_files,
)

Change = Callable[[dict[str, bytes]], None]


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[Process]:
    with object_store_process(tmp_path) as server:
        yield server


@pytest.fixture
def triton(tmp_path: Path) -> Iterator[Triton]:
    server = Triton(tmp_path)
    server.start()
    try:
        server.wait_until(server.live)
        yield server
    finally:
        server.stop()


@pytest.fixture
def client(triton: Triton) -> Iterator[Client]:
    asking = Client(triton)
    yield asking
    asking.close()


@pytest.fixture
def page(objects: Process, triton: Triton, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """A sidecar in this process that polls more often than usual."""
    monkeypatch.setattr("lifecycle.sidecar.__main__.DOWNLOAD_SECONDS", 0.2)
    monkeypatch.setattr("lifecycle.sidecar.downloader.STATUS_SECONDS", 0.2)
    port = free_port()
    sidecar = Sidecar(sidecar_environ(triton, port))
    status: list[int] = []
    thread = threading.Thread(target=lambda: status.append(sidecar.run()))
    thread.start()
    try:
        yield Page(port)
    finally:
        sidecar.stop()
        thread.join(SECONDS)
    assert status == [0]


def test_a_version_serves_once_the_pointer_names_it(page: Page, client: Client, triton: Triton) -> None:
    wait_until(lambda: page.get("/ready")[0] == 200, what="ready without any pipeline")
    publish(1)
    point(1)
    wait_until(lambda: page.serves(1))
    assert client.factor() == 1
    assert page.model() == {"wanted": 1, "serving": 1, "shadow": None, "refused": {}, "shadowRows": 0}
    assert not (triton.models / "trip_candidate").exists()
    publish(2)
    point(2, previous=1)
    wait_until(lambda: page.serves(2))
    assert client.factor() == 2
    # The version before is withdrawn from Triton's folder only once the new one is reported as serving.
    offered = triton.models / "trip"
    wait_until(lambda: sorted(each.name for each in offered.iterdir()) == ["2", "config.pbtxt"])
    assert sorted(each.name for each in (triton.models / ".versions/trip").glob("[0-9]*")) == ["1", "2"]
    publish(3)
    point(3, previous=2)
    wait_until(lambda: page.serves(3))
    wait_until(lambda: not (triton.models / ".versions/trip/1").exists(), what="two versions on disk")
    assert page.value("mlops_sync_switch_seconds") > 0
    assert page.value('mlops_model_serving{model="trip",version="3"}') == 1
    assert page.get("/nowhere")[0] == 404


def test_a_pointer_back_to_the_version_before_is_followed_from_the_disk(page: Page, client: Client) -> None:
    publish(1)
    publish(2)
    for version in (1, 2):
        point(version, previous=version - 1 or None)
        wait_until(lambda version=version: page.serves(version))  # type: ignore[misc]
    model_repository.delete_version(store(), 1)
    point(1, previous=2)
    wait_until(lambda: page.serves(1))
    assert client.factor() == 1


def test_a_pipeline_without_a_pointer_is_unloaded(page: Page, client: Client, triton: Triton) -> None:
    publish(1)
    point(1, shadow=1)
    wait_until(lambda: page.model()["shadow"] == 1)
    point(None)
    wait_until(lambda: page.serves(None))
    wait_until(lambda: page.model()["shadow"] is None)
    point(1)
    wait_until(lambda: page.serves(1))
    store().delete(["pointer.json"])
    wait_until(lambda: json.loads(page.get("/status")[1])["models"] == {})
    wait_until(lambda: not (triton.models / ".versions/trip").exists())
    assert not (triton.models / "trip").exists()


def rewritten(name: str, content: bytes) -> Change:
    """A change of a version's files before it is published, so that the manifest has the right hash."""
    return lambda files: files.update({name: content})


def edited(name: str, **fields: Any) -> Change:
    return lambda files: files.update({name: json.dumps({**json.loads(files[name]), **fields}).encode()})


# The real backend's message begins with a capital letter, the stand-in's does not.
NOT_LOADED = "[Ll]oad model"

BAD_FILES: dict[str, tuple[Change, str]] = {
    "an ONNX that does not load": (rewritten("model.onnx", b"not an ONNX model"), NOT_LOADED),
    "a truncated ONNX": (rewritten("model.onnx", model_bytes(2)[:-40]), NOT_LOADED),
    "an ONNX of another width": (rewritten("model.onnx", model_bytes(2, inputs=4)), "features"),
    "an ONNX with another output": (rewritten("model.onnx", model_bytes(2, output="other")), "prediction"),
    "another model's ONNX": (rewritten("model.onnx", model_bytes(7)), "20 of 20 golden answers are wrong"),
    "golden rows of another width": (edited("golden.json", inputs=[[1.0]]), "rows of 3 numbers"),
    "no golden rows": (edited("golden.json", inputs=[], outputs=[]), "rows of 3 numbers"),
    "golden answers that are words": (edited("golden.json", outputs="none"), "cannot be read"),
    "fewer golden answers": (edited("golden.json", outputs=[[1.0]]), "20 inputs and 1 outputs"),
    "no tolerance": (edited("golden.json", tolerance=None), "'tolerance' must be a number"),
    "a configuration that is no JSON": (rewritten("config.json", b"{"), "config.json is no JSON"),
    "a configuration that is a list": (rewritten("config.json", b"[]"), "config.json is no JSON object"),
    "no instances": (edited("config.json", instances=0), "'instances' must be a whole number"),
    "no name": (edited("config.json", input='a"b'), "'input' must be a tensor's name"),
    "a GPU where there is none": (edited("config.json", gpus=1), "GPU"),
    "a baseline of fewer features": (edited("baseline.json", features=[]), "has 0 features"),
    "a baseline without a prediction": (
        edited("baseline.json", prediction=None),
        "baseline.json cannot be read",
    ),
    "edges that fall": (
        edited("baseline.json", prediction={"name": "p", "edges": [2, 1], "ratios": [0, 0, 1]}),
        "ascending edges",
    ),
}


def damaged_after_the_fact(name: str, content: bytes | None) -> Callable[[], None]:
    def damage() -> None:
        publish(2)
        if content is None:
            store().delete([f"versions/2/{name}"])
        else:
            store().put(f"versions/2/{name}", content)

    return damage


def manifest_names(name: str) -> bytes:
    hashes = {each: {"sha256": "0", "bytes": 0} for each in (*model_repository.FILES, name)}
    return json_bytes({"version": 2, "files": hashes})


BAD_OBJECTS: dict[str, tuple[Callable[[], None], str]] = {
    "a truncated file": (damaged_after_the_fact("model.onnx", model_bytes(2)[:-40]), "bytes, not"),
    "a file with another hash": (damaged_after_the_fact("model.onnx", model_bytes(5)), "has the hash"),
    "a missing file": (damaged_after_the_fact("golden.json", None), "golden.json is missing"),
    "a missing manifest": (damaged_after_the_fact("manifest.json", None), "has no manifest.json"),
    "a manifest that is no JSON": (damaged_after_the_fact("manifest.json", b"{"), "cannot be read"),
    "a manifest of another version": (
        damaged_after_the_fact(
            "manifest.json", manifest_names("a").replace(b'"version": 2', b'"version": 3')
        ),
        "is that of version 3",
    ),
    "a manifest without files": (
        damaged_after_the_fact("manifest.json", json_bytes({"version": 2, "files": {}})),
        "does not name model.onnx",
    ),
    "a manifest that leads elsewhere": (
        damaged_after_the_fact("manifest.json", manifest_names("../model.onnx")),
        "no plain names",
    ),
}


def test_no_bad_version_ever_serves(page: Page, triton: Triton) -> None:
    """Under steady traffic no request fails or is answered wrongly, and each refusal has its reason."""
    publish(1)
    point(1)
    wait_until(lambda: page.serves(1))
    kinds: dict[str, tuple[Callable[[], None], str]] = dict(BAD_OBJECTS)
    for kind, (change, reason) in BAD_FILES.items():
        files = version_files(2)
        change(files)
        kinds[kind] = (lambda files=files: publish(2, files), reason)  # type: ignore[misc]
    with Traffic(triton, clients=4, factors={1.0}, pause=0.01) as traffic:
        for kind, (write, reason) in kinds.items():
            write()
            point(2, previous=1)
            wait_until(lambda: "2" in page.model()["refused"], what=kind)
            assert re.search(reason, page.model()["refused"]["2"]), kind
            assert page.model()["serving"] == 1, kind
            assert page.value('mlops_model_refused{model="trip",version="2"}') == 1
            point(1)
            wait_until(lambda: page.model()["refused"] == {} and page.model()["wanted"] == 1)
            model_repository.delete_version(store(), 2)
    assert (traffic.failed, traffic.wrong) == ([], [])
    assert len(traffic.seconds) > 100
    assert page.value('mlops_sync_failures_total{reason="version"}') == len(kinds)
    publish(2)
    point(2, previous=1)
    wait_until(lambda: page.serves(2), what="a good version after all of them")


def test_a_refused_version_is_tried_again_when_its_manifest_changes(page: Page, client: Client) -> None:
    files = version_files(2)
    publish(2, {**files, "model.onnx": b"broken"})
    point(2)
    wait_until(lambda: "2" in page.model()["refused"])
    assert page.get("/ready")[0] == 200, "it is known to be bad, and nothing better is known"
    time.sleep(5)
    assert page.value('mlops_sync_failures_total{reason="version"}') == 1, "it is not tried again"
    model_repository.delete_version(store(), 2)
    publish(2, files)
    wait_until(lambda: page.serves(2))
    assert client.factor() == 2


def test_a_fresh_replica_serves_the_previous_version_where_the_wanted_one_is_bad(
    page: Page, client: Client
) -> None:
    publish(1)
    publish(2, {**version_files(2), "model.onnx": b"broken"})
    point(2, previous=1)
    wait_until(lambda: page.serves(1))
    assert client.factor() == 1
    assert list(page.model()["refused"]) == ["2"]
    wait_until(lambda: page.get("/ready")[0] == 200)


def test_a_pointer_that_cannot_be_read_changes_nothing(page: Page) -> None:
    publish(1)
    point(1)
    wait_until(lambda: page.serves(1))
    for bad in (b"{", b"[]", b'{"version": "2"}'):
        before = page.value('mlops_sync_failures_total{reason="version"}')
        store().put("pointer.json", bad)
        wait_until(lambda before=before: page.value('mlops_sync_failures_total{reason="version"}') > before)  # type: ignore[misc]
        assert page.model()["wanted"] == 1


def test_models_go_on_serving_without_the_object_store(
    page: Page, client: Client, objects: Process, triton: Triton
) -> None:
    publish(1)
    publish(2)
    point(1)
    wait_until(lambda: page.serves(1))
    objects.kill()
    wait_until(lambda: page.value('mlops_sync_failures_total{reason="store"}') > 0, what="a failure")
    triton.kill()
    assert page.get("/ready")[0] in (200, 503)
    triton.start()
    wait_until(lambda: client.factor() == 1, what="loaded again without the store")
    wait_until(lambda: page.get("/ready")[0] == 200)
    objects.start()
    wait_until(lambda: store().list() != [])
    point(2, previous=1)
    wait_until(lambda: page.serves(2))
    assert page.model()["refused"] == {}


def test_a_store_that_hangs_does_not_keep_a_lost_model_from_being_loaded(
    page: Page, client: Client, objects: Process, triton: Triton
) -> None:
    publish(1)
    point(1)
    wait_until(lambda: page.serves(1))
    failures = page.metrics().get('mlops_sync_failures_total{reason="store"}', 0)
    assert objects.running is not None
    objects.running.send_signal(signal.SIGSTOP)
    try:
        time.sleep(3)
        triton.kill()
        triton.start()
        wait_until(lambda: client.factor() == 1)
        # The downloader's call to the store has not timed out yet.
        assert page.metrics().get('mlops_sync_failures_total{reason="store"}', 0) == failures
    finally:
        objects.running.send_signal(signal.SIGCONT)


def test_twenty_rollouts_under_fifty_clients_lose_no_request(
    page: Page, triton: Triton, record_property: Callable[[str, object], None]
) -> None:
    # Every request is traced, because rollouts used to fail only for traced requests.
    publish(1, version_files(1, traceOneIn=1))
    point(1)
    wait_until(lambda: page.serves(1))
    with Traffic(triton, 50, factors={float(number) for number in range(1, 22)}, pause=0.1) as traffic:
        for number in range(2, 22):
            publish(number, version_files(number, traceOneIn=1))
            point(number, previous=number - 1)
            wait_until(lambda number=number: page.serves(number), what=f"version {number}")  # type: ignore[misc]
    record_property("requests", len(traffic.seconds))
    record_property("slowest", max(traffic.seconds))
    print(f"{len(traffic.seconds)} requests, slowest {max(traffic.seconds):.3f} s")
    assert (traffic.failed, traffic.wrong) == ([], [])
    assert len(traffic.seconds) > 1000


def test_killed_processes_serve_the_same_version_again(
    objects: Process, triton: Triton, tmp_path: Path
) -> None:
    sidecar = SidecarProcess(tmp_path, triton)
    page = Page(sidecar.port)
    client = Client(triton)
    sidecar.start()
    try:
        publish(1)
        point(1)
        wait_until(lambda: page.serves(1))
        for victims in ([triton], [sidecar], [sidecar, triton]):
            for victim in victims:
                victim.kill()
            for victim in victims:
                victim.start()
            wait_until(lambda: client.factor() == 1, what=f"{victims}")
            wait_until(lambda: page.serves(1) and page.get("/ready")[0] == 200)
        publish(2)
        point(2, previous=1)
        # Kill the sidecar at several times during a rollout; it must complete the rollout after each start.
        for pause in (0.1, 0.3, 0.5, 0.8, 1.1):
            time.sleep(pause)
            sidecar.kill()
            sidecar.start()
        wait_until(lambda: page.serves(2))
        assert client.factor() == 2
        assert not (triton.models / "trip_candidate").exists()
        assert sidecar.signal(signal.SIGTERM) == 0
    finally:
        client.close()
        sidecar.stop()


def test_a_damaged_copy_on_the_disk_is_downloaded_again(page: Page, client: Client, triton: Triton) -> None:
    publish(1)
    point(1)
    wait_until(lambda: page.serves(1))
    (triton.models / ".versions/trip/1/model.onnx").write_bytes(b"broken")
    triton.kill()
    triton.start()
    wait_until(lambda: client.factor() == 1)
    wait_until(lambda: page.serves(1))


def test_counters_hold_the_sampled_values(page: Page, client: Client, triton: Triton) -> None:
    publish(1, version_files(1, traceOneIn=1, payloads=True))
    point(1)
    wait_until(lambda: page.serves(1))
    zeros = [name for name, value in page.metrics().items() if name.startswith("mlops_feature_bin_total")]
    described = json.loads(version_files(1)["baseline.json"])
    bins = sum(len(each["ratios"]) + 1 for each in (*described["features"], described["prediction"]))
    assert len(zeros) == bins, "every bin is there before the first request"
    rows = training_rows(600)[200:] * np.array([1.7, 1, 1], np.float32)
    rows[3, 1] = np.nan
    for part in np.split(rows, 100):
        client.ask(part, request_id="customer")
    wait_until(lambda: page.value("mlops_sampled_rows_total") == 400, what="rows")
    metrics = page.metrics()
    for index, name in enumerate(FEATURES):
        edges, ratios = described["features"][index]["edges"], described["features"][index]["ratios"]
        counted, nan = baseline.count(edges, rows[:, index])
        labels = f'feature="{name}",kind="feature",model="trip",version="1"'
        got = [
            value_of(metrics, "mlops_feature_bin_total", labels, str(place)) for place in range(len(counted))
        ]
        assert got == counted.tolist()
        assert value_of(metrics, "mlops_feature_bin_total", labels, "nan") == nan
        assert baseline.psi(ratios, got) == pytest.approx(baseline.psi(ratios, counted))
        assert value_of(metrics, "mlops_feature_baseline_ratio", labels, "0") == ratios[0]
    assert baseline.psi(*(described["features"][0]["ratios"], counts_of(metrics, "distance"))) > 0.2
    assert metrics['mlops_trace_dropped_total{reason="unreadable"}'] == 0
    assert not list(triton.traces.glob("trace.json.*"))


def test_sampled_payloads_reach_the_object_store(
    objects: Process, triton: Triton, client: Client, tmp_path: Path
) -> None:
    sidecar = SidecarProcess(tmp_path, triton)
    page = Page(sidecar.port)
    sidecar.start()
    try:
        publish(1, version_files(1, traceOneIn=1, payloads=True))
        point(1)
        wait_until(lambda: page.serves(1))
        before = time.time()
        for number in range(20):
            client.ask([[number, 2, 3], [1, np.nan, 1]], request_id=f"customer-{number}")
        wait_until(lambda: page.value("mlops_sampled_rows_total") == 40)
        assert sidecar.signal(signal.SIGTERM) == 0, "it writes what waits before it ends"
    finally:
        sidecar.stop()
    keys = store(bucket="data").list("payloads/1/")
    assert keys
    assert all(key.endswith("-replica-0.jsonl") for key in keys)
    lines = [json.loads(line) for key in keys for line in (store(bucket="data").get(key) or b"").splitlines()]
    assert [line["requestId"] for line in lines] == [f"customer-{number}" for number in range(20)]
    assert lines[4]["features"] == [[4, 2, 3], [1, None, 1]]
    assert lines[4]["predictions"] == [[9], [None]]
    assert all(before - 1 <= line["time"] <= time.time() for line in lines)


def test_a_shadow_scores_sampled_requests_and_answers_no_client(page: Page, client: Client) -> None:
    publish(1, version_files(1, traceOneIn=1))
    publish(2)
    point(1, shadow=2)
    wait_until(lambda: page.model()["shadow"] == 2 and page.serves(1))
    for row in training_rows(50):
        assert client.ask([row])[0, 0] == pytest.approx(row.sum())
    wait_until(lambda: page.model()["shadowRows"] == 50)
    described = json.loads(version_files(1)["baseline.json"])["prediction"]
    counted, _ = baseline.count(described["edges"], training_rows(50).sum(axis=1) * 2)
    metrics = page.metrics()
    got = [
        metrics[f'mlops_shadow_bin_total{{bin="{place}",model="trip",version="2"}}'] for place in range(10)
    ]
    assert got == counted.tolist()
    # The predictions that were served for the same rows, in the same bins.
    served, _ = baseline.count(described["edges"], training_rows(50).sum(axis=1))
    assert [
        metrics[f'mlops_shadowed_bin_total{{bin="{place}",model="trip",version="2"}}'] for place in range(10)
    ] == served.tolist()
    point(1)
    wait_until(lambda: page.model()["shadow"] is None)
    assert not [name for name in page.metrics() if name.startswith("mlops_shadow")]


def test_a_bad_shadow_is_refused_and_the_model_goes_on(page: Page, client: Client) -> None:
    publish(1)
    publish(2, {**version_files(2), "model.onnx": model_bytes(3)})
    point(1, shadow=2)
    wait_until(lambda: "2" in page.model()["refused"])
    assert page.model()["shadow"] is None
    assert client.factor() == 1


def test_the_statuses_of_the_steps_are_exported(page: Page) -> None:
    batch = {"batch": "2024-01", "periodEnd": 1706745600, "rows": 10, "quarantined": 2, "collectedAt": 1}
    error = {"version": 1, "metric": "mae", "value": 3.5, "rows": 7, "measuredAt": 1}
    gate = {
        "run": "a",
        "metric": "mae",
        "champion": None,
        "challenger": 2.5,
        "promoted": True,
        "decidedAt": 1,
    }
    statuses: dict[str, dict[str, Any]] = {"batch": batch, "error": error, "gate": gate}
    for name, fields in statuses.items():
        store().put_json(f"status/{name}.json", fields)
    wait_until(lambda: page.value("mlops_gate_value") == 2.5)
    wait_until(lambda: page.value("mlops_batch_rows") == 10)
    metrics = page.metrics()
    assert metrics['mlops_batch_quarantined_rows{model="trip"}'] == 2
    assert metrics['mlops_batch_end_timestamp_seconds{model="trip"}'] == 1706745600
    assert metrics['mlops_live_error{metric="mae",model="trip",version="1"}'] == 3.5
    assert metrics['mlops_labelled_rows{model="trip",version="1"}'] == 7
    assert metrics['mlops_gate_value{candidate="challenger",metric="mae",model="trip"}'] == 2.5
    assert 'mlops_gate_value{candidate="champion",metric="mae",model="trip"}' not in metrics
    assert abs(metrics["mlops_sync_last_success_timestamp_seconds"] - time.time()) < 10


def test_a_thread_that_dies_ends_the_process(
    objects: Process, triton: Triton, monkeypatch: pytest.MonkeyPatch
) -> None:
    sidecar = Sidecar(sidecar_environ(triton, free_port()))
    monkeypatch.setattr(sidecar.counters, "expire", lambda: 1 / 0)
    monkeypatch.setattr(threading, "excepthook", lambda *_: None)
    assert sidecar.run() == 1


def test_triton_gets_the_published_model(triton: Triton, page: Page) -> None:
    publish(1)
    point(1)
    wait_until(lambda: page.serves(1))
    served = (triton.models / "trip/1/model.onnx").read_bytes()
    assert hashlib.sha256(served).digest() == hashlib.sha256(model_bytes(1)).digest()
    assert 'backend: "onnxruntime"' in (triton.models / "trip/config.pbtxt").read_text()


def test_trace_settings_are_replaced_only_where_they_differ(
    triton: Triton, monkeypatch: pytest.MonkeyPatch
) -> None:
    def arrange(folder: Path) -> None:
        for name, content in version_files(1).items():
            (folder / name).write_bytes(content)

    cache = ModelCache(triton.models)
    cache.receive("trip", 1, arrange)
    cache.offer("trip", cache.read("trip", 1))
    control = TritonClient(triton.url, KEY)
    replaced: list[str] = []
    replace = control._client.update_trace_settings

    def counted(name: str, settings: dict[str, Any], **options: Any) -> object:
        replaced.append(settings["trace_rate"])
        return replace(name, settings, **options)

    monkeypatch.setattr(control._client, "update_trace_settings", counted)
    for one_in in (3, 3, 5, 5):
        control.load("trip")
        control.trace("trip", one_in)
    assert replaced == ["3", "5"]


def counts_of(metrics: dict[str, float], feature: str) -> list[float]:
    labels = f'feature="{feature}",kind="feature",model="trip",version="1"'
    return [value_of(metrics, "mlops_feature_bin_total", labels, str(place)) for place in range(10)]


def value_of(metrics: dict[str, float], metric: str, labels: str, place: str) -> float:
    return metrics[f'{metric}{{bin="{place}",{labels}}}']
