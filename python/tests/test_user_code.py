import pickle
from pathlib import Path

import pytest

from lifecycle.exits import PermanentError
from lifecycle.user_code import UserCode
from trip_files import MODEL, sha256


def load(folder: Path, code: str) -> UserCode:
    (folder / "model.py").write_text(code)
    return UserCode.load(folder / "model.py")


def test_a_model_is_loaded_with_its_hash(tmp_path: Path) -> None:
    user_code = load(tmp_path, MODEL)
    assert user_code.train(3) == 3
    assert user_code.collect is None
    assert user_code.sha256 == sha256(MODEL.encode())


def test_a_model_of_a_class_in_model_py_can_be_pickled(tmp_path: Path) -> None:
    user_code = load(tmp_path, MODEL + "\nclass Mine:\n    pass\n\ndef train(rows):\n    return Mine()\n")
    assert type(pickle.loads(pickle.dumps(user_code.train(None)))) is type(user_code.train(None))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("features = 1\ntrain = len\n", "must define the function features$"),
        ("", "must define the functions features and train"),
        ("import pandas\n\ndef features(:\n", r"cannot be imported: SyntaxError: .* \(line 3\)"),
        (
            "\nimport nothing_like_this\n",
            r"cannot be imported: ModuleNotFoundError: .*nothing_like_this.*\(line 2\)",
        ),
        ("\n\n1 / 0\n", r"cannot be imported: ZeroDivisionError: .*\(line 3\)"),
    ],
)
def test_a_model_py_that_cannot_be_used_stops_and_its_line_is_named(
    tmp_path: Path, code: str, message: str
) -> None:
    with pytest.raises(PermanentError, match=message):
        load(tmp_path, code)


def test_a_file_that_is_missing_or_no_python_stops(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"there is no model to read: .*No such file"):
        UserCode.load(tmp_path / "model.py")
    (tmp_path / "model.txt").write_text(MODEL)
    with pytest.raises(PermanentError, match="its name must end in"):
        UserCode.load(tmp_path / "model.txt")


@pytest.mark.parametrize("code", ["0", "99", "'no data'"])
def test_sys_exit_in_model_py_is_a_permanent_error(tmp_path: Path, code: str) -> None:
    with pytest.raises(PermanentError, match=r"cannot be imported: SystemExit: .*\(line 2\)"):
        load(tmp_path, f"import sys\nsys.exit({code})\n")
    user_code = load(tmp_path, MODEL + f"\ndef train(rows):\n    raise SystemExit({code})\n")
    with pytest.raises(PermanentError, match=r"train in .* failed: SystemExit"):
        user_code.call(user_code.train, 3)


def test_an_error_in_a_library_names_the_line_of_model_py(tmp_path: Path) -> None:
    user_code = load(tmp_path, MODEL)
    with pytest.raises(PermanentError, match=r"features in .* failed: TypeError: .*\(line 5\)"):
        user_code.call(user_code.features, 3)


def test_a_memory_error_is_passed_on(tmp_path: Path) -> None:
    user_code = load(tmp_path, MODEL + "\ndef train(rows):\n    raise MemoryError\n")
    with pytest.raises(MemoryError):
        user_code.call(user_code.train, None)
