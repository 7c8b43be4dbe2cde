"""Secrets are created once, also by concurrent runs, and are never overwritten."""

import base64
import string
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from generate_secrets import main, make_missing
from kubernetes_api import Answer, Call, Request
from small_api_server import Fault, SmallApiServer

PLATFORM = "/api/v1/namespaces/platform/secrets"
STEPS = "/api/v1/namespaces/steps/secrets"
FORBIDDEN = Fault(403, b'{"message": "secrets is forbidden"}')

LOGIN = {
    "name": "login",
    "namespaces": ["platform", "steps"],
    "keys": {"username": {"literal": "admin"}, "password": "password"},
}
KEYS = {"name": "keys", "namespaces": ["platform"], "keys": {"fernet-key": "fernet"}}
PLAN: dict[str, Any] = {"secrets": [KEYS, LOGIN]}


def quietly(line: str) -> None:
    pass


def value(server: SmallApiServer, path: str, key: str) -> str:
    return base64.b64decode(server.objects[path]["data"][key]).decode()


def test_makes_every_secret_of_the_plan(server: SmallApiServer, call: Call) -> None:
    lines: list[str] = []
    assert make_missing(PLAN, call, lines.append) == []
    assert sorted(server.objects) == [f"{PLATFORM}/keys", f"{PLATFORM}/login", f"{STEPS}/login"]
    assert lines == ["platform/keys: made", "platform/login: made", "steps/login: made"]


def test_a_password_is_32_letters_and_digits(server: SmallApiServer, call: Call) -> None:
    make_missing(PLAN, call, quietly)
    password = value(server, f"{PLATFORM}/login", "password")
    assert len(password) == 32
    assert set(password) <= set(string.ascii_letters + string.digits)


def test_a_fernet_key_is_32_random_bytes_in_url_safe_base64(
    server: SmallApiServer, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Standard base64 would encode these bytes with `+` and `/`.
    drawn = b"\xfb" + b"\xff" * 31
    monkeypatch.setattr("secrets.token_bytes", lambda count: drawn[:count])
    make_missing(PLAN, call, quietly)
    key = value(server, f"{PLATFORM}/keys", "fernet-key")
    assert base64.urlsafe_b64decode(key) == drawn
    assert set(key) <= set(string.ascii_letters + string.digits + "-_=")


def test_a_literal_stays_as_the_plan_says(server: SmallApiServer, call: Call) -> None:
    make_missing(PLAN, call, quietly)
    assert value(server, f"{PLATFORM}/login", "username") == "admin"


def test_no_two_values_are_equal(server: SmallApiServer, call: Call) -> None:
    names = [f"secret-{number}" for number in range(20)]
    plan = {
        "secrets": [{"name": name, "namespaces": ["platform"], "keys": {"key": "password"}} for name in names]
    }
    make_missing(plan, call, quietly)
    assert len({value(server, f"{PLATFORM}/{name}", "key") for name in names}) == 20


def test_what_is_made_is_labelled_as_the_platform_s(server: SmallApiServer, call: Call) -> None:
    make_missing(PLAN, call, quietly)
    for secret in server.objects.values():
        assert secret["type"] == "Opaque"
        assert secret["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "mlops-lifecycle"


def test_copies_are_equal_in_both_namespaces(server: SmallApiServer, call: Call) -> None:
    make_missing(PLAN, call, quietly)
    assert server.objects[f"{PLATFORM}/login"]["data"] == server.objects[f"{STEPS}/login"]["data"]


def test_a_second_run_changes_nothing(server: SmallApiServer, call: Call) -> None:
    make_missing(PLAN, call, quietly)
    before = dict(server.objects)
    lines: list[str] = []
    assert make_missing(PLAN, call, lines.append) == []
    assert server.objects == before
    assert all(line.endswith(": exists, left alone") for line in lines)


def test_what_somebody_else_made_is_left_alone_and_copied(server: SmallApiServer, call: Call) -> None:
    theirs = {"username": "bWU=", "password": "b3du"}
    server.put(f"{PLATFORM}/login", {"data": theirs})
    make_missing(PLAN, call, quietly)
    assert server.objects[f"{PLATFORM}/login"]["data"] == theirs
    assert server.objects[f"{STEPS}/login"]["data"] == theirs


def test_twenty_runs_at_once_leave_one_value(server: SmallApiServer, call: Call) -> None:
    with ThreadPoolExecutor(20) as runs:
        refusals = list(runs.map(lambda _: make_missing(PLAN, call, quietly), range(20)))
    assert refusals == [[]] * 20
    assert server.objects[f"{PLATFORM}/login"]["data"] == server.objects[f"{STEPS}/login"]["data"]
    assert len(server.objects) == 3
    assert server.paths("POST").count(PLATFORM) == 40
    assert {seen.method for seen in server.seen} == {"GET", "POST"}


def test_a_crash_between_two_copies_is_mended_by_the_next_run(server: SmallApiServer, call: Call) -> None:
    def crashing(request: Request) -> Answer:
        if request.path == STEPS:
            raise ConnectionResetError("killed here")
        return call(request)

    with pytest.raises(ConnectionResetError):
        make_missing(PLAN, crashing, quietly)
    original = server.objects[f"{PLATFORM}/login"]["data"]
    assert f"{STEPS}/login" not in server.objects
    assert make_missing(PLAN, call, quietly) == []
    assert server.objects[f"{PLATFORM}/login"]["data"] == original
    assert server.objects[f"{STEPS}/login"]["data"] == original


def test_reads_shared_secrets_and_no_others(server: SmallApiServer, call: Call) -> None:
    make_missing(PLAN, call, quietly)
    make_missing(PLAN, call, quietly)
    assert set(server.paths("GET")) == {f"{PLATFORM}/login"}


def test_a_refusal_is_returned_with_its_reason_and_stops_no_other(server: SmallApiServer, call: Call) -> None:
    server.faults["POST", STEPS] = FORBIDDEN
    last = {**KEYS, "name": "last"}
    assert make_missing({"secrets": [LOGIN, last]}, call, quietly) == [
        "steps/login cannot be made: 403 secrets is forbidden"
    ]
    assert sorted(server.objects) == [f"{PLATFORM}/last", f"{PLATFORM}/login"]


def test_an_original_that_cannot_be_read_is_not_copied(server: SmallApiServer, call: Call) -> None:
    server.faults["GET", f"{PLATFORM}/login"] = FORBIDDEN
    assert make_missing(PLAN, call, quietly) == ["platform/login cannot be read: 403 secrets is forbidden"]
    assert f"{STEPS}/login" not in server.objects


@pytest.mark.parametrize("status", [429, 500])
def test_a_busy_api_server_ends_the_run_with_1_and_the_next_run_with_0(
    server: SmallApiServer, call: Call, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    server.faults["POST", PLATFORM] = Fault(status, b'{"message": "try again"}', times=1)
    assert main(PLAN, call) == 1
    assert capsys.readouterr().err == f"platform/keys cannot be made: {status} try again\n"
    assert main(PLAN, call) == 0
    assert len(server.objects) == 3


def test_a_secret_whose_answer_was_lost_is_kept(server: SmallApiServer, call: Call) -> None:
    def losing(request: Request) -> Answer:
        call(request)
        raise TimeoutError("timed out")

    assert main(PLAN, losing) == 1
    kept = value(server, f"{PLATFORM}/keys", "fernet-key")
    assert main(PLAN, call) == 0
    assert value(server, f"{PLATFORM}/keys", "fernet-key") == kept


def test_no_value_is_printed(server: SmallApiServer, call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    main(PLAN, call)
    printed = "".join(capsys.readouterr())
    for secret in server.objects.values():
        for encoded in secret["data"].values():
            assert encoded not in printed
    assert value(server, f"{PLATFORM}/login", "password") not in printed


def test_an_api_server_out_of_reach_is_one_line_and_exit_status_1(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"secrets": [{"name": "a", "namespaces": ["b"], "keys": {}}]}')
    program = Path(__file__).parents[1] / "programs/generate_secrets.py"
    ended = subprocess.run(
        [sys.executable, str(program), str(tmp_path / "plan.json")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("the API server cannot be reached: ")
    assert ended.stderr.count("\n") == 1
