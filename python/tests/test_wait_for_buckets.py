"""wait_for_buckets.py waits until the key can list its buckets."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import wait_for_buckets
from processes import wait_until


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines()


def test_buckets_that_are_there_are_not_waited_for(
    object_store: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    wait_for_buckets.main(["data", "models"])
    assert capsys.readouterr().out == ""


def test_a_missing_bucket_is_named_until_it_is_made(
    object_store: Any, object_store_address: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with log.open("w") as out:
        # The pod runs the program's text with `-c`.
        text = Path(wait_for_buckets.__file__).read_text()
        waiting = subprocess.Popen([sys.executable, "-c", text, "data", "late"], stdout=out, stderr=out)
        try:
            wait_until(lambda: len(lines(log)) > 1, what="a second look")
            message = f"waiting for buckets late at {object_store_address}: An error occurred (NoSuchBucket)"
            assert [line[: len(message)] for line in lines(log)] == [message] * len(lines(log))
            object_store.create_bucket(Bucket="late")
            assert waiting.wait(60) == 0
        finally:
            waiting.kill()
            waiting.wait()
            object_store.delete_bucket(Bucket="late")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("AWS_SECRET_ACCESS_KEY", "another-password", "SignatureDoesNotMatch"),
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1", "Could not connect to the endpoint URL"),
    ],
)
def test_a_wrong_key_or_address_is_printed(
    object_store: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variable: str,
    value: str,
    message: str,
) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv(variable, value)
    with log.open("w") as out:
        program = [sys.executable, wait_for_buckets.__file__, "data"]
        waiting = subprocess.Popen(program, stdout=out, stderr=out, env=dict(os.environ))
        try:
            wait_until(lambda: lines(log), what="the first look")
        finally:
            waiting.kill()
            waiting.wait()
    assert message in lines(log)[0]
    assert "another-password" not in log.read_text()
