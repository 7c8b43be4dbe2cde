"""Probe: exits 0 if this pod's own Airflow job is alive, else 1.

The argument is the job's type, such as `TriggererJob`. POD_IP is the job's host name; libpq's `PG*` variables
name the database. The query takes 0.3 s; `airflow jobs check` takes 6.5 s, because it starts a full Airflow.
"""

import os
import sys
from contextlib import closing

import psycopg2

ALIVE = """
SELECT 1 FROM job
 WHERE job_type = %s AND hostname = %s AND state = 'running'
   AND latest_heartbeat > now() - interval '60 seconds'
 LIMIT 1
"""


def main(job_type: str, hostname: str) -> int:
    """Return the exit status: 0 if a job of this type on this host had a heartbeat within 60 s, else 1."""
    try:
        with closing(psycopg2.connect("", connect_timeout=5)) as connection, connection.cursor() as cursor:
            cursor.execute(ALIVE, (job_type, hostname))
            alive = cursor.fetchone() is not None
    except psycopg2.Error as error:
        print(f"the database cannot be asked: {error}".strip())
        return 1
    if not alive:
        print(f"no {job_type} on {hostname} has had a heartbeat for 60 seconds")
    return 0 if alive else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], os.environ["POD_IP"]))
