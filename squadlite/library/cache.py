"""Where indexes are kept: SQLite files with their SHA-256 behind them."""

import hashlib
import os
import sqlite3
import sys
import time
from pathlib import Path

from squadlite.atomic import atomic_write

_DIGEST_BYTES = 32
_CHUNK_BYTES = 1 << 18
_ABANDONED_SECONDS = 24 * 3600


def default_cache_dir() -> Path:
    """Where indexes live: SQUADLITE_CACHE, else the platform's folder for a user's caches."""
    if chosen := os.environ.get("SQUADLITE_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "squadlite"


def load(cached: Path) -> sqlite3.Connection | None:
    """
    Open the index in a cache file, every byte of which has been checked; it can't be written to.

    Returns:
        None where there is no whole one of ours.
    """
    try:
        if not _is_whole(cached):
            return None
        # Nobody writes into a file of the cache: a new one takes its name. SQLite passes over the
        # digest, since the database's header counts its pages.
        uri = f"{cached.absolute().as_uri()}?mode=ro&immutable=1"
        connection = sqlite3.connect(uri, uri=True)
        connection.execute("PRAGMA schema_version")  # opens the file, which connecting doesn't
    except (OSError, sqlite3.OperationalError):
        return None  # not there, or gone since
    return connection


def _is_whole(cached: Path) -> bool:
    """Whether a file ends with the digest of what stands before."""
    digest = hashlib.sha256()
    with cached.open("rb", buffering=0) as file:
        remaining = os.fstat(file.fileno()).st_size - _DIGEST_BYTES
        while remaining > 0 and (chunk := file.read(min(_CHUNK_BYTES, remaining))):
            digest.update(chunk)
            remaining -= len(chunk)
        return file.read() == digest.digest()


def store(connection: sqlite3.Connection, cached: Path) -> None:
    """Keep an index in the cache, if it can be written."""
    image = connection.serialize()
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(cached.parent)
        with atomic_write(cached) as file:
            file.write(image)
            file.write(hashlib.sha256(image).digest())
    except OSError:
        return  # the index in memory answers this time; the next run builds it again


def _remove_abandoned(folder: Path) -> None:
    """Remove what processes that were killed while they wrote have left."""
    for part in folder.glob(".*.db.*.part"):
        if time.time() - part.stat().st_mtime > _ABANDONED_SECONDS:
            part.unlink(missing_ok=True)
