"""A book's index: its chapters and passages in one SQLite file, searched by FTS5."""

import hashlib
import os
import re
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from squadlite.atomic import atomic_write
from squadlite.library.book import open_book
from squadlite.library.passages import split_passages
from squadlite.library.structure import Book, Chapter

Progress = Callable[[int, int], None]

# Raise it whenever the same book would give another index: old files are then left alone.
INDEX_VERSION = 1
_APPLICATION_ID = 0x53515A49  # "SQZI"

_SCHEMA = f"""
    PRAGMA application_id = {_APPLICATION_ID};
    PRAGMA user_version = {INDEX_VERSION};
    CREATE TABLE book (title TEXT, author TEXT, language TEXT);
    CREATE TABLE chapters (id INTEGER PRIMARY KEY, title TEXT, href TEXT, text TEXT);
    CREATE TABLE passages (
        id INTEGER PRIMARY KEY, chapter INTEGER, start INTEGER, end INTEGER, text TEXT
    );
    CREATE VIRTUAL TABLE words USING fts5(
        text, content='passages', content_rowid='id', tokenize='porter unicode61 remove_diacritics 2'
    );
"""


@dataclass(frozen=True)
class ChapterInfo:
    """A chapter without its text."""

    index: int
    title: str
    href: str


@dataclass(frozen=True)
class Passage:
    """A passage of a book: the chapter's text[start:end]. Higher scores are better."""

    chapter_index: int
    start: int
    end: int
    text: str
    score: float


class BookIndex:
    """An indexed book."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.title, self.author, self.language = connection.execute(
            "SELECT title, author, language FROM book"
        ).fetchone()
        self.chapters = tuple(
            ChapterInfo(*row)
            for row in connection.execute("SELECT id, title, href FROM chapters ORDER BY id")
        )

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        cache_dir: str | Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Open the index of a book, and build it first where there is none."""
        path = Path(path)
        folder = Path(cache_dir) if cache_dir is not None else default_cache_dir()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        cached = folder / f"{digest}-{INDEX_VERSION}.db"
        if not cached.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with closing(_build(open_book(path), progress)) as memory, atomic_write(cached) as file:
                file.write(memory.serialize())
        return cls(sqlite3.connect(f"{cached.resolve().as_uri()}?mode=ro&immutable=1", uri=True))

    def chapter(self, index: int) -> Chapter:
        """A chapter with its text."""
        row = self._connection.execute(
            "SELECT id, title, href, text FROM chapters WHERE id = ?", (index,)
        ).fetchone()
        if row is None:
            raise IndexError(f"chapter {index}: the book has {len(self.chapters)}")
        return Chapter(*row)

    def search(self, question: str, limit: int) -> list[Passage]:
        """The passages that look most like they answer a question, best first."""
        terms = re.findall(r"\w+", question)
        query = " OR ".join(f'"{term}"' for term in terms) or '"a"'
        rows = self._connection.execute(
            "SELECT chapter, start, end, passages.text, -bm25(words) FROM words"
            " JOIN passages ON passages.id = words.rowid"
            " WHERE words MATCH ? ORDER BY bm25(words) LIMIT ?",
            (query, limit),
        )
        return [Passage(*row) for row in rows]

    def close(self) -> None:
        """Close the index file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


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


def _build(book: Book, progress: Progress | None) -> sqlite3.Connection:
    """The index of a book, in memory."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(_SCHEMA)
    connection.execute(
        "INSERT INTO book VALUES (?, ?, ?)", (book.title, book.author, book.language)
    )
    total = sum(len(chapter.text) for chapter in book.chapters)
    done = 0
    for chapter in book.chapters:
        connection.execute(
            "INSERT INTO chapters VALUES (?, ?, ?, ?)",
            (chapter.index, chapter.title, chapter.href, chapter.text),
        )
        connection.executemany(
            "INSERT INTO passages (chapter, start, end, text) VALUES (?, ?, ?, ?)",
            (
                (chapter.index, start, end, chapter.text[start:end])
                for start, end in split_passages(chapter.text)
            ),
        )
        done += len(chapter.text)
        if progress is not None:
            progress(done, total)
    connection.execute("INSERT INTO words (words) VALUES ('rebuild')")
    connection.execute("INSERT INTO words (words) VALUES ('optimize')")
    connection.commit()
    return connection
