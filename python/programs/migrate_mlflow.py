"""Brings MLflow's tables, and those of its users, to the version of this image.

Several servers may start at once on an empty database, and MLflow's own
migration would race; an advisory lock of Postgres lets one through at a time.
The database comes from libpq's `PG*` variables.
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
            # Outside any transaction: idle in one, a server may cut it off and free the lock too early.
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
