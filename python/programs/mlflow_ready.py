"""Probe: exits 0 if MLflow answers a request that needs its database and its users, else 1.

The request is a search for one experiment. MLflow's own `/health` answers 200 even if the database is down.
"""

import os
import sys

import requests
from requests.auth import HTTPBasicAuth

from lifecycle.cluster_http import cluster_session

SERVER = "http://127.0.0.1:5000"
SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"


def main(username: str, password: str, server: str = SERVER, seconds: float = 8) -> int:
    """Return the exit status: 0 when the search is answered within so many seconds, 1 otherwise."""
    login = HTTPBasicAuth(username.encode(), password.encode())
    try:
        with cluster_session() as session:
            answer = session.get(server + SEARCH, auth=login, timeout=seconds)
    except OSError as error:
        print(f"MLflow does not answer: {error}")
        return 1
    if answer.status_code != requests.codes.ok:
        print(f"MLflow does not answer: HTTP Error {answer.status_code}: {answer.reason}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ["MLFLOW_AUTH_ADMIN_USERNAME"], os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"]))
