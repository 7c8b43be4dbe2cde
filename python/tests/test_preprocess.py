from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lifecycle.exits import PermanentError
from lifecycle.spec import Feature, Schema
from lifecycle.steps import collect, preprocess
from lifecycle.steps.context import Context
from lifecycle.steps.preprocess import shaped, split, usable
from trip_files import MODEL, context, parquet, read, sha256, spec_json, trips


@pytest.fixture
def collected(object_store: Any, tmp_path: Path) -> Context:
    """A run that has collected 400 trips."""
    object_store.put_object(Bucket="data", Key="in/2024-01.parquet", Body=parquet(trips()))
    made = context(tmp_path, source())
    collect.run(made)
    return made


def source() -> dict[str, Any]:
    return spec_json(type="s3", bucket="data", prefix="in/{{ month }}")


def features(body: str) -> str:
    """A model.py whose `features` has this body; `made` are the columns distance and minutes."""
    imports = "import pandas as pd\nimport numpy as np\n"
    begin = f"{imports}def features(trips):\n    made = trips[['distance', 'minutes']]\n"
    return f"{begin}    {body}\ndef train(rows): pass\n"


def refused(made: Context, model: str) -> str:
    """Run the step with this model.py; return the error's message and check that nothing was written."""
    made.model_path.write_text(model)
    with pytest.raises(PermanentError) as raised:
        preprocess.run(made)
    assert made.data.list(made.key("")) == [made.key("collect.json")]
    return str(raised.value)


def test_the_newest_fifth_is_held_out_as_float32_in_the_schemas_order(collected: Context) -> None:
    preprocess.run(collected)
    train = read(collected.data, "runs/run-1/train.parquet")
    holdout = read(collected.data, "runs/run-1/holdout.parquet")
    expected = trips()[["distance", "minutes"]].astype("float32")
    pd.testing.assert_frame_equal(train, expected[:320])
    pd.testing.assert_frame_equal(holdout, expected[320:].reset_index(drop=True))


def test_the_result_says_what_it_was_made_of(collected: Context) -> None:
    preprocess.run(collected)
    result = collected.result("preprocess")
    data = collected.data.get("runs/run-1/holdout.parquet")
    assert data is not None
    assert result["inputs"] == {
        "sha256": collected.result("collect")["sha256"],
        "codeSha256": sha256(MODEL.encode()),
        "specSha256": collected.spec.sha256,
    }
    assert result["holdout"] == {
        "key": "runs/run-1/holdout.parquet",
        "sha256": sha256(data),
        "rows": 80,
        "from": 1704067200 + 320 * 60,
        "to": 1704067200 + 399 * 60,
    }
    assert (result["run"], result["batch"], result["rows"]) == ("run-1", "2024-01", 400)
    assert result["dropped"] == {"total": 0, "reasons": {}}


def test_the_same_inputs_are_found_done(collected: Context, capsys: pytest.CaptureFixture[str]) -> None:
    preprocess.run(collected)
    before = collected.data.get("runs/run-1/preprocess.json")
    preprocess.run(collected)
    assert "found: this run was preprocessed before" in capsys.readouterr().out
    assert collected.data.get("runs/run-1/preprocess.json") == before


def test_another_model_py_or_a_missing_table_is_done_again(collected: Context) -> None:
    preprocess.run(collected)
    collected.model_path.write_text(MODEL.replace('trips["distance"]', 'trips["distance"] / 2'))
    preprocess.run(collected)
    halved = read(collected.data, "runs/run-1/train.parquet")["distance"]
    np.testing.assert_allclose(halved, trips()["distance"][:320] / 2, rtol=1e-6)
    collected.data.delete(["runs/run-1/train.parquet"])
    preprocess.run(collected)
    assert len(read(collected.data, "runs/run-1/train.parquet")) == 320


def test_a_run_goes_on_with_the_rows_it_collected_whatever_became_of_the_batch(
    collected: Context, object_store: Any, tmp_path: Path
) -> None:
    object_store.put_object(Bucket="data", Key="in/2024-01.parquet", Body=parquet(trips(200)))
    collect.run(context(tmp_path, source(), run="run-2"))
    preprocess.run(collected)
    assert collected.result("preprocess")["rows"] == 400


def test_rows_that_features_leaves_out_are_counted_and_the_others_keep_their_times(
    collected: Context,
) -> None:
    collected.model_path.write_text(
        features('return trips[["minutes", "distance"]][::-1][trips.index.to_numpy() % 4 > 0]')
    )
    preprocess.run(collected)
    result = collected.result("preprocess")
    assert (result["leftOut"], result["train"]["rows"], result["holdout"]["rows"]) == (100, 240, 60)
    assert result["holdout"]["to"] == 1704067200 + 398 * 60
    train = read(collected.data, "runs/run-1/train.parquet")
    kept = trips()["distance"][np.arange(400)[::-1] % 4 > 0]
    np.testing.assert_allclose(train["distance"], kept[:240], rtol=1e-6)


def test_rows_that_no_model_can_take_are_dropped_and_counted(collected: Context) -> None:
    collected.model_path.write_text(
        features(
            "made = made.copy(); made.iloc[0:3, 0] = np.nan; made.iloc[3:5, 0] = np.inf;"
            " made.iloc[5, 0] = 1e39; made.iloc[6:9, 1] = 0; made.iloc[9, 1] = 121; made.iloc[0, 1] = np.nan;"
            " return made"
        )
    )
    preprocess.run(collected)
    assert collected.result("preprocess")["dropped"] == {
        "total": 10,
        "reasons": {
            "distance: above 100": 3,
            "distance: infinite": 3,
            "distance: null": 3,
            "minutes: above 120": 1,
            "minutes: below 1": 3,
            "minutes: null": 1,
        },
    }


def test_too_many_dropped_rows_stop(collected: Context) -> None:
    message = refused(collected, features("return made.assign(minutes=trips['minutes'] * 2)"))
    assert "rows are bad, 0.1 of them may be (minutes: above 120: " in message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return [1]", "must return a pandas DataFrame, got list"),
        ("return trips[['distance']]", "missing are ['minutes'], too many are none"),
        ("return trips", "missing are none, too many are ['begun']"),
        (
            "return trips[['distance', 'minutes', 'distance']]",
            "missing are none, too many are ['distance', 'distance']",
        ),
        ("return made.set_index('distance', drop=False)", "must keep the index of the rows"),
        ("return pd.concat([made, made])", "must keep the index of the rows"),
        ("return made[:0]", "returned no row of 400"),
        ("return made.astype(str)", "must return numbers, got str in column distance"),
        ("return made.assign(minutes=np.nan)", "returned no value at all in column minutes"),
        ("return made[:100]", "holdout would have 20 of 100 rows, and needs at least 50"),
        ("return trips[['distance', 'nothing']]", "KeyError"),
    ],
)  # fmt: skip
def test_features_that_are_not_those_of_the_schema_stop(collected: Context, body: str, message: str) -> None:
    assert message in refused(collected, features(body))


def test_the_step_comes_after_collect(object_store: Any, tmp_path: Path) -> None:
    with pytest.raises(
        PermanentError, match=r"run run-1 has no collect\.json: the step 'collect' comes first"
    ):
        preprocess.run(context(tmp_path, source()))


@pytest.mark.parametrize(("damage", "message"), [(None, "is gone"), (b"x", "is not what its name says")])
def test_a_batch_that_is_gone_or_damaged_stops(
    collected: Context, damage: bytes | None, message: str
) -> None:
    key = f"raw/2024-01/data-{collected.result('collect')['sha256']}.parquet"
    collected.data.delete([key]) if damage is None else collected.data.put(key, damage)
    with pytest.raises(PermanentError, match=message):
        preprocess.run(collected)


def test_features_may_modify_its_argument_without_changing_the_split(collected: Context) -> None:
    collected.model_path.write_text(features("trips['begun'] = 0; return trips[['distance', 'minutes']]"))
    preprocess.run(collected)
    assert collected.result("preprocess")["holdout"]["rows"] == 80


def test_booleans_whole_numbers_and_nulls_are_numbers() -> None:
    schema = Schema({}, "t", (Feature("a", "int"), Feature("b", "int", 0, 1)), Feature("c", "float"), 0.1)
    made = pd.DataFrame({"c": [0.5, 1, 2], "a": pd.array([1, None, 3], "Int64"), "b": [True, False, True]})
    table = shaped(made, made, schema, "model.py")
    assert table.to_numpy(na_value=-9).tolist() == [[1, 1, 0.5], [-9, 0, 1], [3, 1, 2]]
    good, reasons = usable(table, schema)
    assert (good.index.tolist(), dict(reasons)) == ([0, 2], {"a: null": 1})


def test_a_fraction_in_an_int_feature_is_dropped() -> None:
    schema = Schema({}, "t", (Feature("a", "int"),), Feature("c", "float"), 0.1)
    table = pd.DataFrame({"a": [1, 1.5], "c": [0.0, 0.0]})
    assert dict(usable(table, schema)[1]) == {"a: not of type int": 1}


@pytest.mark.parametrize("moments", [1, 2, 3, 7, 50, 400])
def test_rows_of_one_moment_are_never_on_both_sides(moments: int) -> None:
    random = np.random.default_rng(moments)
    times = pd.Series(
        pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, moments, 400), unit="D")
    )
    rows = pd.DataFrame({"a": range(400)})
    if moments == 1:
        with pytest.raises(PermanentError, match="would have 0 of 400 rows"):
            split(rows, times)
        return
    sides = split(rows, times)
    assert times[sides["train"].index].max() < times[sides["holdout"].index].min()
    assert sorted([*sides["train"].index, *sides["holdout"].index]) == list(range(400))
