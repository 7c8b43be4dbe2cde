"""Waits until this pod's role can connect to its database; libpq's `PG*` variables name both."""

import os
import time
from contextlib import closing

import psycopg2


def main(pause: float = 2) -> None:
    """Return when a connection succeeds; until then print the error every `pause` seconds."""
    # A loop of its own: MLflow's image, in which this program runs too, does not have tenacity.
    while True:
        try:
            with closing(psycopg2.connect("", connect_timeout=5)):
                return
        except psycopg2.OperationalError as error:
            address = f"{os.environ['PGHOST']}:{os.environ['PGPORT']}"
            print(f"waiting for Postgres at {address}: {' '.join(str(error).split())}", flush=True)
            time.sleep(pause)


if __name__ == "__main__":
    main()
