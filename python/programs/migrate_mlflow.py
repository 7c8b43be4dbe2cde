"""Migrates MLflow's tables, and the tables of its users, to the version in this image.

MLflow's own migration fails if several servers start at once on an empty database. An advisory lock of
Postgres (https://www.postgresql.org/docs/current/explicit-locking.html) lets one server migrate at a time.
libpq's `PG*` variables name the database.
"""

import subprocess
import sys
from contextlib import closing

import psycopg2

LOCK = 3170
URI = "postgresql+psycopg2:///"
UPGRADES = [
    ["mlflow", "db", "upgrade", URI],
    [sys.executable, "-m", "mlflow.server.auth", "db", "upgrade", "--url", URI],
]


def main() -> int:
    """Return the exit status. After 1 Kubernetes starts the container again."""
    try:
        with closing(psycopg2.connect("", connect_timeout=30)) as connection, connection.cursor() as cursor:
            # Autocommit, because Postgres may be set to end sessions that are idle in a transaction
            # (idle_in_transaction_session_timeout), which would release the lock too early.
            connection.autocommit = True
            cursor.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
            for upgrade in UPGRADES:
                subprocess.run(upgrade, check=True)
    except (psycopg2.Error, subprocess.CalledProcessError) as error:
        print(f"MLflow's tables are not up to date: {error}".strip(), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
