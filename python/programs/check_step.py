"""Checks, in a step's pod, that MLflow, the object store and Triton answer; exits 0 if they do, else 1."""

import base64
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping

SECONDS = 10
PATIENCE = 30
"""Seconds an address may be out of reach: a pod is there a moment before its firewall opens."""


def main(environ: Mapping[str, str], triton: str, patience: float = PATIENCE) -> int:
    """Check the three servers, print a line for each, and return the exit status.

    Args:
        environ: The step's environment variables.
        triton: Name of the variable with Triton's address.
        patience: Seconds during which an unreachable server is tried again.
    """
    login = f"{environ['MLFLOW_TRACKING_USERNAME']}:{environ['MLFLOW_TRACKING_PASSWORD']}"
    tracking = environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/experiments/search?max_results=1"
    checks: list[tuple[str, str, dict[str, str], Callable[[int], bool]]] = [
        ("MLflow takes the login", tracking, basic(login), lambda status: status == 200),
        # Any status below 500 shows that the store answers: it refuses a request without a signature.
        ("the object store answers", environ["AWS_ENDPOINT_URL_S3"], {}, lambda status: status < 500),
        ("Triton is ready", f"http://{environ[triton]}/v2/health/ready", {}, lambda s: s == 200),
    ]
    failed = 0
    for what, url, headers, good in checks:
        answer = ask(url, headers, time.monotonic() + patience)
        passed = isinstance(answer, int) and good(answer)
        failed += not passed
        print(f"{'yes' if passed else 'NO '}  {what}: {url.split('?')[0]} said {answer}", flush=True)
    return 1 if failed else 0


def basic(login: str) -> dict[str, str]:
    """Return the header of HTTP basic authentication for `user:password`."""
    return {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}


def ask(url: str, headers: Mapping[str, str], deadline: float) -> int | str:
    """Return the status of the answer, or why there was none until the deadline."""
    # Never through a proxy: the login is for MLflow alone. With the standard library: requests and tenacity
    # are packages of a step, which are not installed when this program runs.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            with opener.open(urllib.request.Request(url, headers=dict(headers)), timeout=SECONDS) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError as error:
            if time.monotonic() >= deadline:
                return str(error)
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main(os.environ, sys.argv[1]))
