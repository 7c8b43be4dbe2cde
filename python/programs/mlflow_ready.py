"""Probe: exits 0 if MLflow answers a request that needs its database and its users, else 1.

The request is a search for one experiment. MLflow's own `/health` answers 200 even if the database is down.
"""

import base64
import os
import sys
import urllib.request
from http.client import HTTPException

SERVER = "http://127.0.0.1:5000"
SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"


def main(username: str, password: str, server: str = SERVER, seconds: float = 8) -> int:
    """Return the exit status: 0 when the search is answered within so many seconds, 1 otherwise."""
    login = base64.b64encode(f"{username}:{password}".encode()).decode()
    request = urllib.request.Request(server + SEARCH, headers={"Authorization": f"Basic {login}"})
    # Without the proxy that HTTP_PROXY may name: the server is in this very container.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(request, timeout=seconds).close()
    except (OSError, HTTPException) as error:
        print(f"MLflow does not answer: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ["MLFLOW_AUTH_ADMIN_USERNAME"], os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"]))
