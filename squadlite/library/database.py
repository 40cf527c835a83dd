"""A library's SQLite file: its schema, how older ones become today's, and who may write when."""

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from squadlite.closing import Closing
from squadlite.errors import LibraryError

APPLICATION_ID = 0x53515A4C  # "SQZL"
# docs/library.md says what each table is for.
MIGRATIONS = (
    """
    CREATE TABLE books (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        digest TEXT NOT NULL UNIQUE,
        title TEXT NOT NULL,
        author TEXT NOT NULL,
        language TEXT NOT NULL,
        chapters INTEGER NOT NULL,
        passages INTEGER NOT NULL,
        index_version INTEGER NOT NULL
    );
    CREATE TABLE files (
        path TEXT PRIMARY KEY,
        book INTEGER NOT NULL REFERENCES books (id) ON DELETE CASCADE,
        size INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX files_of_books ON files (book);
    CREATE TABLE indexes (
        book INTEGER PRIMARY KEY REFERENCES books (id) ON DELETE CASCADE,
        image BLOB NOT NULL
    );
    CREATE TABLE vectors (
        book INTEGER PRIMARY KEY REFERENCES books (id) ON DELETE CASCADE,
        model TEXT NOT NULL,
        width INTEGER NOT NULL,
        codes BLOB NOT NULL,
        scales BLOB NOT NULL
    );
    CREATE TABLE terms (
        term TEXT NOT NULL,
        book INTEGER NOT NULL,
        passages INTEGER NOT NULL,
        PRIMARY KEY (term, book)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE books ADD COLUMN until_chapter INTEGER;
    ALTER TABLE books ADD COLUMN until_end INTEGER;
    ALTER TABLE books ADD COLUMN known_passages INTEGER NOT NULL DEFAULT 0;
    UPDATE books SET known_passages = passages;
    """,
    """
    ALTER TABLE books ADD COLUMN position_chapter INTEGER;
    ALTER TABLE books ADD COLUMN position_offset INTEGER;
    CREATE TABLE covers (
        book INTEGER PRIMARY KEY REFERENCES books (id) ON DELETE CASCADE,
        media_type TEXT NOT NULL,
        image BLOB NOT NULL
    );
    """,
)

_BUSY_SECONDS = 60.0
_RETRY_SECONDS = 0.05
_CACHE_KIB = 64 << 10


class Database(Closing):
    """
    A library's file, made where there is none and brought up to date; a context manager.

    Args:
        path: the file.

    Raises:
        LibraryError: it isn't a library, is of a later version, or can't be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LibraryError(f"{path}: can't be opened ({error})") from error
        with self._telling():
            # Transactions are only those that `writing` makes.
            self._connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            with self._telling():
                self._prepare()
        except LibraryError:
            self._connection.close()
            raise

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """
        All rows of a query's result.

        Raises:
            LibraryError: the file can't be read.
        """
        with self._telling():
            return self._connection.execute(query, values).fetchall()

    def write(self, statement: str, *values: object) -> int:
        """
        Run one statement of a transaction; see `writing`.

        Returns:
            The number of the row that it inserted last.

        Raises:
            LibraryError: the file can't be written.
        """
        with self._telling():
            return self._connection.execute(statement, values).lastrowid or 0

    def write_all(self, statement: str, values: Iterable[tuple[object, ...]]) -> None:
        """Run a statement of a transaction for each of some values; see `write`."""
        with self._telling():
            self._connection.executemany(statement, values)

    def data_version(self) -> int:
        """
        A number that changes when another connection has written to the file.

        Raises:
            LibraryError: the file can't be read.
        """
        ((version,),) = self.rows("PRAGMA data_version")
        return int(version)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """
        A transaction, begun when no other process writes and undone where the block fails.

        Raises:
            LibraryError: the file can't be written, or another process has been writing too long.
        """
        with self._telling():
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            with self._telling():
                self._connection.commit()
        except BaseException:
            self._connection.rollback()
            raise

    def shrink(self) -> None:
        """Give the space of what was removed back to the disk, as far as others let it."""
        with self._telling():
            # `execute` would stop after one page: the pragma gives a row without columns for each.
            self._connection.executescript("PRAGMA incremental_vacuum")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise LibraryError(f"{self.path}: can't be used as a library ({error})") from error

    def _prepare(self) -> None:
        application, version, has_tables = self._identity()
        if application != APPLICATION_ID and (application or version or has_tables):
            raise LibraryError(f"{self.path}: another program's database, expected a library")
        if version > len(MIGRATIONS):
            raise LibraryError(
                f"{self.path}: a library of version {version}, "
                f"this squadlite knows up to {len(MIGRATIONS)}"
            )
        connection = self._connection
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        if version < len(MIGRATIONS):
            # It has to be chosen before there is any table.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._use_write_ahead_log()
            with self.writing():
                self._migrate()

    def _identity(self) -> tuple[int, int, bool]:
        """Whose database it is, of which version, and whether it has tables."""
        # In one transaction: another process may be making the library right now.
        self._connection.execute("BEGIN")
        try:
            (application,) = self._connection.execute("PRAGMA application_id").fetchone()
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            table = self._connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
        finally:
            self._connection.rollback()
        return application, version, table is not None

    def _use_write_ahead_log(self) -> None:
        # The one statement that doesn't wait while others have the file open.
        deadline = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_RETRY_SECONDS)
            else:
                return

    def _migrate(self) -> None:
        # Another process may have been here since the version was read.
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        for script in MIGRATIONS[version:]:
            for statement in script.split(";"):
                self._connection.execute(statement)
        self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
