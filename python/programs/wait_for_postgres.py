"""Waits until Postgres lets this pod's role into its database; libpq's `PG*` variables say which."""

import os
import time
from contextlib import closing

import psycopg2


def main(pause: float = 2) -> None:
    """Return once the role is in; until then say every `pause` seconds what keeps it out."""
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
