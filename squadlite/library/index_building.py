"""A book becomes an index: what the SQLite file holds, and how it is filled."""

import sqlite3
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from squadlite.library.concordance import Concordance
from squadlite.library.structure import Book, Chapter
from squadlite.library.vectors import VECTORS_TABLE
from squadlite.progress import Progress

# Raise it whenever the same book would give another index.
INDEX_VERSION = 5
_APPLICATION_ID = 0x53515A49  # "SQZI", so that another program's database is told apart
# A chapter's text stands in its passages', each up to where the next begins, so that what overlaps
# is kept once. Numbers of all passages are arrays of NUMBER, read at once.
_SCHEMA = f"""
    PRAGMA application_id = {_APPLICATION_ID};
    PRAGMA user_version = {INDEX_VERSION};
    CREATE TABLE book (title TEXT, author TEXT, language TEXT);
    CREATE TABLE chapters (id INTEGER PRIMARY KEY, title TEXT, href TEXT);
    CREATE TABLE pages (chapter INTEGER, start INTEGER, label TEXT, PRIMARY KEY (chapter, start))
        WITHOUT ROWID;
    CREATE TABLE passages (id INTEGER PRIMARY KEY, text TEXT);
    CREATE TABLE arrays (chapters BLOB, starts BLOB, ends BLOB, words BLOB, places BLOB);
    CREATE TABLE terms (term TEXT PRIMARY KEY, passages INTEGER, places BLOB) WITHOUT ROWID;
    {VECTORS_TABLE};
"""
NUMBER = np.dtype("<u4")


def build_index(book: Book, progress: Progress | None = None) -> sqlite3.Connection:
    """
    Index a book.

    Args:
        book: its chapters with their text.
        progress: called with (characters done, characters in all).

    Returns:
        The index: a database in memory.

    Raises:
        BookIndexError: this Python's SQLite can't.
    """
    connection = sqlite3.connect(":memory:")
    connection.executescript(_SCHEMA)
    connection.execute(
        "INSERT INTO book VALUES (?, ?, ?)", (book.title, book.author, book.language)
    )
    passages = _Passages()
    total = sum(len(chapter.text) for chapter in book.chapters)
    done = 0
    for chapter in book.chapters:
        _write_chapter(connection, chapter, passages)
        done += len(chapter.text)
        if progress is not None:
            progress(done, total)
    _write_numbers(connection, passages)
    connection.commit()
    return connection


def _write_chapter(connection: sqlite3.Connection, chapter: Chapter, passages: "_Passages") -> None:
    connection.execute(
        "INSERT INTO chapters VALUES (?, ?, ?)", (chapter.index, chapter.title, chapter.href)
    )
    connection.executemany(
        "INSERT INTO pages VALUES (?, ?, ?)",
        ((chapter.index, page.start, page.label) for page in chapter.pages),
    )
    connection.executemany("INSERT INTO passages VALUES (?, ?)", passages.add(chapter))


def _write_numbers(connection: sqlite3.Connection, passages: "_Passages") -> None:
    places, entries = passages.concordance.entries()
    columns = (passages.chapters, passages.starts, passages.ends, passages.words, places)
    arrays = [_bytes(numbers) for numbers in columns]
    connection.execute("INSERT INTO arrays VALUES (?, ?, ?, ?, ?)", arrays)
    connection.executemany(
        "INSERT INTO terms VALUES (?, ?, ?)",
        ((entry.term, entry.passages, _bytes(entry.places)) for entry in entries),
    )


def _bytes(numbers: ArrayLike) -> bytes:
    return np.asarray(numbers, NUMBER).tobytes()


class _Passages:
    """What is said of the passages of a book while its chapters are gone through."""

    def __init__(self) -> None:
        self.chapters: list[int] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.words: list[int] = []
        self.concordance = Concordance()

    def add(self, chapter: Chapter) -> Iterator[tuple[int, str]]:
        """Take the passages of the next chapter; yield the number of each and its kept text."""
        # An index that is there is opened without it.
        from squadlite.library.passages import split_passages  # noqa: PLC0415

        text = chapter.text
        places = split_passages(text)
        cuts = [start for start, _ in places[1:]]
        # Not strict: a chapter of whitespace has no passage.
        for (start, end), first, last in zip(places, [0, *cuts], [*cuts, len(text)], strict=False):
            words = text[start:end].split()
            self.chapters.append(chapter.index)
            self.starts.append(start)
            self.ends.append(end)
            self.words.append(len(words))
            self.concordance.add(words)
            yield len(self.words) - 1, text[first:last]
