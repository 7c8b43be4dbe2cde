"""Brings MLflow's tables, and those of its users, to the version of this image.

Several servers may start at once on an empty database, and MLflow's own
migration would race; an advisory lock of Postgres lets one through at a time.
The database comes from libpq's `PG*` variables.
"""

import subprocess
import sys

import psycopg2

LOCK = 3170
URI = "postgresql+psycopg2:///"

if __name__ == "__main__":
    with psycopg2.connect("") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        subprocess.run(["mlflow", "db", "upgrade", URI], check=True)
        subprocess.run([sys.executable, "-m", "mlflow.server.auth", "db", "upgrade", "--url", URI], check=True)
