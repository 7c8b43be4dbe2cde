"""Probe: does MLflow answer a request that needs its database and its users?

`/health` answers 200 with the database down; a search for one experiment does not.
"""

import base64
import os
import urllib.request

URL = "http://127.0.0.1:5000/api/2.0/mlflow/experiments/search?max_results=1"

if __name__ == "__main__":
    login = f"{os.environ['MLFLOW_AUTH_ADMIN_USERNAME']}:{os.environ['MLFLOW_AUTH_ADMIN_PASSWORD']}"
    headers = {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
    with urllib.request.urlopen(urllib.request.Request(URL, headers=headers), timeout=8):
        pass
