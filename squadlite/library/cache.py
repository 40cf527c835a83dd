"""Indexes in the cache: SQLite files with their checksum behind them."""

import sqlite3
from pathlib import Path

from squadlite.cache import is_usable, write_cached


def load(cached: Path) -> sqlite3.Connection | None:
    """
    Open the index in a cache file, every byte of which has been checked; it can't be written to.

    Returns:
        None where there is no whole one that is ours alone.
    """
    try:
        if not is_usable(cached):
            return None
        # Nobody writes into a file of the cache: a new one takes its name. SQLite passes over the
        # checksum, since the database's header counts its pages.
        uri = f"{cached.absolute().as_uri()}?mode=ro&immutable=1"
        connection = sqlite3.connect(uri, uri=True)
        connection.execute("PRAGMA schema_version")  # opens the file, which connecting doesn't
    except (OSError, sqlite3.OperationalError):
        return None  # not there, or gone since
    return connection


def store(connection: sqlite3.Connection, cached: Path) -> None:
    """Keep an index in the cache; where that can't be, the one in memory answers this time."""
    write_cached(cached, connection.serialize())


def take_into_memory(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Close an index, perhaps in a file, and go on with a copy in memory that can be written to."""
    copy = sqlite3.connect(":memory:")
    copy.deserialize(connection.serialize())
    connection.close()
    return copy
