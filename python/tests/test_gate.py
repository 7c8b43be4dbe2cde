import json
import math
import random
from collections.abc import Callable

import pytest

from lifecycle.exits import GateRejected, PermanentError
from lifecycle.model_repository import Pointer, read_pointer, write_pointer
from lifecycle.spec import Gate
from lifecycle.steps import deploy, gate
from lifecycle.steps.gate import decide
from small_pipeline import LINEAR, MEAN, STEPS, Pipeline, trips

pytest_plugins = ("servers_mlflow",)


@pytest.mark.parametrize("better", ["lower", "higher"])
@pytest.mark.parametrize("seed", range(50))
def test_a_model_that_is_not_better_is_never_promoted(seed: int, better: str) -> None:
    rng = random.Random(seed)
    champion = rng.choice([0.0, -0.0, 1e-300, 1e300, rng.uniform(-10, 10), rng.gauss(0, 1)])
    worse = abs(rng.choice([0.0, rng.random(), rng.expovariate(0.01)]))
    challenger = champion + worse if better == "lower" else champion - worse
    challenger = rng.choice([challenger, champion, math.nan, math.inf, -math.inf])
    limit = rng.choice([None, rng.uniform(-20, 20)])
    asked = Gate("mae", better, margin=rng.choice([0.0, 0.01, rng.random()]), limit=limit)  # type: ignore[arg-type]
    assert decide(asked, challenger, champion).outcome != "promoted"


@pytest.mark.parametrize("seed", range(50))
def test_a_model_that_is_better_by_more_than_the_margin_is_promoted(seed: int) -> None:
    rng = random.Random(seed)
    champion, margin = rng.uniform(0.1, 10), rng.uniform(0, 0.5)
    assert (
        decide(Gate("mae", "lower", margin), champion * (1 - margin) * 0.999, champion).outcome == "promoted"
    )
    assert decide(Gate("mae", "lower", margin), champion * (1 - margin) * 1.001, champion).outcome == "kept"
    assert (
        decide(Gate("r2", "higher", margin), champion * (1 + margin) * 1.001, champion).outcome == "promoted"
    )
    assert decide(Gate("r2", "higher", margin), champion * (1 + margin) * 0.999, champion).outcome == "kept"


def test_a_limit_binds_the_first_model_and_the_better_one() -> None:
    asked = Gate("mae", "lower", 0.0, limit=5.0)
    assert decide(asked, 5.1, None).outcome == "limit"
    assert decide(asked, 5.1, 9.0).outcome == "limit"
    assert decide(asked, 5.0, None).outcome == "promoted"
    assert decide(Gate("r2", "higher", 0.0, limit=0.5), 0.4, None).outcome == "limit"


def test_a_champion_without_a_finite_value_is_not_compared_with() -> None:
    assert decide(Gate("mae", "lower", 0.01), 5.0, math.nan).outcome == "promoted"


def test_the_first_version_is_promoted_and_shown(pipeline: Pipeline) -> None:
    context = pipeline.until("gate", "first")
    decided = context.result("gate")
    assert decided["promoted"]
    assert decided["champion"] is None
    shown = context.models.get_json("status/gate.json")
    assert shown is not None
    assert set(shown) == {"run", "metric", "champion", "challenger", "promoted", "decidedAt"}
    (version,) = pipeline.tracking().versions("first")
    assert version.tags["lifecycle.gate"].startswith("promoted: version 1: mae 0.77")


def test_a_worse_challenger_is_kept_out_with_its_numbers(pipeline: Pipeline) -> None:
    pipeline.until("deploy", "first")
    context = pipeline.until("register", "second", code=MEAN)
    for _ in range(2):  # The second run uses the stored decision.
        with pytest.raises(GateRejected, match=r"version 2: mae 1\d\.\d+ against the champion's 0\.77"):
            gate.run(context)
    assert (pipeline.alias("challenger"), pipeline.alias("champion")) == (None, 1)
    (version,) = pipeline.tracking().versions("second")
    assert version.tags["lifecycle.gate"].startswith("kept: ")
    metrics = pipeline.tracking().run(context.result("train")["runId"]).data.metrics
    assert metrics["gate_champion"] < metrics["gate_challenger"]


def test_the_same_model_again_is_a_tie_and_kept_out(pipelines: Callable[..., Pipeline]) -> None:
    pipeline = pipelines(registry__gate__margin=0)
    pipeline.until("deploy", "first")
    context = pipeline.until("register", "second")
    with pytest.raises(GateRejected):
        gate.run(context)


def test_both_are_scored_on_this_runs_holdout(pipeline: Pipeline) -> None:
    pipeline.until("deploy", "first", code=MEAN)
    context = pipeline.until("gate", "second", batch="2024-02")
    decided = context.result("gate")
    assert decided["rows"] == 80
    assert decided["championVersion"] == 1
    assert decided["challenger"] < decided["champion"]


def test_a_run_of_the_past_is_scored_on_the_champions_newer_holdout(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    # In February the target depends on the features in the opposite way.
    moved = trips("2024-02").assign(minutes=lambda rows: 60 - rows["minutes"])
    newer = pipeline.preprocessed("newer", rows=moved, batch="2024-02")
    for step in STEPS.values():
        step(newer)
    older = pipeline.until("register", "older", batch="2024-01")
    with pytest.raises(GateRejected, match=r"version 2: mae \d+\.\d+ against the champion's 0\.7"):
        gate.run(older)
    assert older.result("gate")["holdoutBatch"] == "2024-02"
    assert "version 1 learned from batch 2024-02: both are scored on that one's holdout" in (
        capsys.readouterr().out
    )
    assert pipeline.alias("champion") == 1
    # A challenger of a newer batch is compared on its own, newer holdout.
    assert pipeline.until("gate", "newest", batch="2024-03").result("gate")["holdoutBatch"] == "2024-03"


def test_a_newer_holdout_that_is_gone_stops(pipeline: Pipeline) -> None:
    newer = pipeline.until("deploy", "newer", batch="2024-02")
    newer.data.delete([newer.key("holdout.parquet")])
    older = pipeline.until("register", "older")
    with pytest.raises(PermanentError, match=r"runs/newer/holdout\.parquet is gone"):
        gate.run(older)


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_a_tie_is_enough_for_other_settings_and_worse_is_not(better: str) -> None:
    asked = Gate("mae", better, margin=0.1, limit=None)  # type: ignore[arg-type]
    decided = decide(asked, 5.0, 5.0, "instances 2 instead of 1")
    assert decided.outcome == "promoted"
    assert decided.reason.endswith("it is no worse, and serves with instances 2 instead of 1")
    worse = 5.001 if better == "lower" else 4.999
    assert decide(asked, worse, 5.0, "instances 2 instead of 1").outcome == "kept"
    assert decide(asked, 5.0, 5.0).outcome == "kept"


def test_a_changed_setting_of_serving_comes_into_force_with_the_next_run(pipeline: Pipeline) -> None:
    pipeline.until("deploy", "first")
    pipeline.changes |= {"serving.instances": 2, "serving.traceOneIn": 1}
    context = pipeline.until("gate", "second")
    assert context.result("gate")["reason"].endswith(
        "and serves with instances 2 instead of 1, traceOneIn 1 instead of 10"
    )


def test_with_other_features_only_the_limit_decides(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.until("deploy", "first")
    pipeline.changes["collection.schema.features"] = [{"name": "distance", "type": "float"}]
    code = LINEAR.replace('["distance", "hour"]', '["distance"]')
    context = pipeline.until("gate", "second", code=code)
    assert context.result("gate")["promoted"]
    assert (
        "the schema changed, from distance, hour to distance: only the limit decides"
        in capsys.readouterr().out
    )


def test_a_champion_that_cannot_be_read_does_not_keep_a_good_model_out(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    context = pipeline.until("deploy", "first")
    context.models.delete(["versions/1/manifest.json"])
    pipeline.until("deploy", "second")
    assert pipeline.alias("champion") == 2
    assert (
        "version 1 is no measure: its files cannot be read, version 1 has no manifest.json: "
        "only the limit decides"
    ) in capsys.readouterr().out


def test_a_challenger_that_cannot_be_read_stops(pipeline: Pipeline) -> None:
    context = pipeline.until("register", "first")
    context.models.delete(["versions/1/manifest.json"])
    with pytest.raises(
        PermanentError, match=r"version 1 in s3://models/.* cannot be judged: version 1 has no manifest"
    ):
        gate.run(context)


def test_the_champion_itself_is_not_judged(pipeline: Pipeline) -> None:
    context = pipeline.until("register", "first")
    pipeline.tracking().set_alias("champion", 1)
    with pytest.raises(PermanentError, match="version 1 is the champion already"):
        gate.run(context)


def test_a_holdout_that_is_gone_stops(pipeline: Pipeline) -> None:
    context = pipeline.until("register", "first")
    context.data.delete([context.key("holdout.parquet")])
    with pytest.raises(PermanentError, match=r"holdout\.parquet is gone"):
        gate.run(context)


def test_an_older_decision_is_not_shown_over_a_newer_one(pipeline: Pipeline) -> None:
    context = pipeline.until("gate", "first")
    context.models.put_json("status/gate.json", {"decidedAt": 4e9})
    gate.run(context)
    assert context.models.get_json("status/gate.json") == {"decidedAt": 4e9}


def shadowed(pipelines: Callable[..., Pipeline], code: str = LINEAR) -> Pipeline:
    pipeline = pipelines(serving__shadow=True)
    pipeline.environ |= {"SHADOW_SECONDS": "0", "SHADOW_ROWS": "10"}
    pipeline.until("deploy", "first", code=MEAN)
    pipeline.until("register", "second", code=code)
    return pipeline


def test_a_shadow_is_compared_before_the_gate_decides(
    pipelines: Callable[..., Pipeline], capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = shadowed(pipelines)
    model = f'model="{pipeline.name}"'
    before = f'mlops_feature_bin_total{{{model},version="1",feature="prediction"'
    pipeline.triton.shadow_rows = 12
    pipeline.triton.metrics = (
        "# TYPE mlops_shadow_bin_total counter\n"
        f'{before},bin="0",kind="prediction"}} 900.0\n'
        f'mlops_shadowed_bin_total{{{model},version="2",bin="0"}} 6.0\n'
        f'mlops_shadowed_bin_total{{{model},version="2",bin="1"}} 6.0\n'
        f'mlops_shadow_bin_total{{{model},version="2",bin="0"}} 6.0\n'
        f'mlops_shadow_bin_total{{{model},version="2",bin="1"}} 6.0\n'
        'mlops_shadow_bin_total{model="another",version="2",bin="5"} 6.0\n'
    )
    gate.run(pipeline.context("second"))
    output = capsys.readouterr().out
    assert "the shadow scored 12 rows, 10 were wanted; 0 replicas were silent" in output
    assert "PSI of the predictions: 0;" in output


def test_without_a_replicas_metrics_the_gate_decides_without_a_comparison(
    pipelines: Callable[..., Pipeline],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipeline = shadowed(pipelines)
    pipeline.triton.shadow_rows = 12

    def gone(*_: object) -> float:
        raise ConnectionRefusedError("gone")

    monkeypatch.setattr(gate, "shadow_distance", gone)
    context = pipeline.context("second")
    gate.run(context)
    assert context.result("gate")["promoted"]
    assert "shadow against champion, not compared: ConnectionRefusedError('gone')" in capsys.readouterr().out


def test_a_shadow_that_nobody_asked_does_not_block(
    pipelines: Callable[..., Pipeline], capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = shadowed(pipelines)
    pipeline.environ["SHADOW_SECONDS"] = "0.5"
    pipeline.triton.refused = {2: "it cannot be loaded"}
    context = pipeline.context("second")
    gate.run(context)
    output = capsys.readouterr().out
    assert "nobody asked the shadow: the gate decides without it" in output
    assert "the shadow was refused: it cannot be loaded" in output
    pipeline.triton.refused = {}
    deploy.run(context)
    assert read_pointer(context.models) is not None
    assert getattr(read_pointer(context.models), "shadow") is None  # noqa: B009


def test_a_shadow_that_lost_scores_no_longer(pipelines: Callable[..., Pipeline]) -> None:
    pipeline = shadowed(pipelines, code=MEAN)
    context = pipeline.context("second", code=MEAN)
    with pytest.raises(GateRejected):
        gate.run(context)
    pointer = read_pointer(context.models)
    assert pointer is not None
    assert (pointer.version, pointer.shadow) == (1, None)


def test_without_a_pointer_no_shadow_is_waited_for(
    pipelines: Callable[..., Pipeline], capsys: pytest.CaptureFixture[str]
) -> None:
    pipelines(serving__shadow=True).until("gate", "first")
    assert "no shadow: nothing served that it could have scored beside" in capsys.readouterr().out


def test_a_pointer_to_another_shadow_is_left(pipeline: Pipeline) -> None:
    pipeline.until("deploy", "first")
    context = pipeline.until("register", "second", code=MEAN)
    write_pointer(context.models, Pointer(1, None, 9, 1.0, "tests"))
    with pytest.raises(GateRejected):
        gate.run(context)
    assert json.loads(context.models.get("pointer.json") or b"{}")["shadow"] == 9
