"""Batches from Postgres: the rows of a query for a period."""

import re
import time
from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
import psycopg

from lifecycle.batches import Period
from lifecycle.exits import PermanentError, RetryableError
from lifecycle.names import ENVIRONMENT
from lifecycle.retry import retry_until
from lifecycle.sources.raw_batch import RawBatch, from_frame
from lifecycle.spec import SqlSource

PATIENCE = 30.0
"""Seconds that the server may be out of reach: a pod is there a moment before its firewall opens."""
ROWS = 50_000
"""Number of rows fetched at once."""

# Sessions are read-only, and in UTC, because `:start` and `:end` are UTC whatever the server's time zone is.
OPTIONS = "-c timezone=UTC -c default_transaction_read_only=on -c statement_timeout=30min"

# Matches the parameters. The other alternatives skip quoted text and names, comments and casts such as
# `::date`, in which `:start` and `:end` are not parameters; `%` must be doubled for psycopg.
PARAMETER = re.compile(r"""'(?:[^']|'')*'|"[^"]*"|--[^\n]*|/\*.*?\*/|::|:(start|end)\b|%""", re.DOTALL)


def fetch(
    source: SqlSource,
    period: Period,
    wanted: Sequence[str],
    environ: Mapping[str, str],
    *,
    patience: float = PATIENCE,
) -> RawBatch:
    """Run the query with `:start` and `:end` bound to the period's start (inclusive) and end (exclusive).

    The connection URL is in the variable names.ENVIRONMENT.source_database_url; without it, libpq's PG*
    variables apply.

    Raises:
        RetryableError: The server is unreachable, refuses the login or aborts the query.
        PermanentError: The environment names no database, or the database rejects the query.
    """
    address = environ.get(ENVIRONMENT.source_database_url, "")
    if not address and "PGHOST" not in environ:
        raise PermanentError(
            f"no database to ask: set {ENVIRONMENT.source_database_url}, or PGHOST and its like, "
            "in the step's environment"
        )
    statement = bound(source.query)
    try:
        with (
            connect(address, time.monotonic() + patience) as connection,
            connection.cursor("batch") as cursor,
        ):
            cursor.execute(statement, {"start": period.start, "end": period.end})
            parts = [cursor.fetchmany(ROWS)]
            names = [column.name for column in cursor.description or []]
            while parts[-1]:
                parts.append(cursor.fetchmany(ROWS))
    except psycopg.OperationalError as error:
        raise RetryableError(f"the source's database does not answer: {error}") from error
    except psycopg.Error as error:
        raise PermanentError(f"the source's database refuses the query: {error}") from error
    table = pd.DataFrame([row for rows in parts for row in rows], columns=names)
    return from_frame(table, wanted, f"the source's query from {period.start:%FT%TZ} to {period.end:%FT%TZ}")


def connect(address: str, deadline: float) -> psycopg.Connection:
    """Connect; ask again until the deadline where nobody answers."""
    ask = partial(psycopg.connect, address, connect_timeout=10, options=OPTIONS)
    return retry_until(deadline, (psycopg.OperationalError,), ask)


def bound(query: str) -> str:
    """Rewrite `:start` and `:end` as psycopg's `%(start)s` and `%(end)s`, and double each `%`."""

    def parameter(match: re.Match[str]) -> str:
        return f"%({match[1]})s" if match[1] else match[0].replace("%", "%%")

    return PARAMETER.sub(parameter, query.strip().rstrip(";"))
