"""A book's index: its chapters, passages and words in one SQLite file in the user's cache."""

import hashlib
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from squadlite.atomic import atomic_write
from squadlite.errors import BookIndexError
from squadlite.library.book import check_book_file, open_book
from squadlite.library.passages import split_passages
from squadlite.library.query import query_words
from squadlite.library.ranking import PassageTable, Term, rank_passages
from squadlite.library.structure import Book, Chapter

Progress = Callable[[int, int], None]

# Raise it whenever the same book would give another index.
INDEX_VERSION = 1
_APPLICATION_ID = 0x53515A49  # "SQZI", so that another program's database is told apart
_TOKENIZER = "porter unicode61 remove_diacritics 2"
_SCHEMA = f"""
    PRAGMA application_id = {_APPLICATION_ID};
    PRAGMA user_version = {INDEX_VERSION};
    CREATE TABLE book (title TEXT, author TEXT, language TEXT);
    CREATE TABLE chapters (id INTEGER PRIMARY KEY, title TEXT, href TEXT, text TEXT);
    CREATE TABLE passages (
        id INTEGER PRIMARY KEY, chapter INTEGER, start INTEGER, end INTEGER, words INTEGER,
        text TEXT
    );
    CREATE VIRTUAL TABLE words USING fts5(
        text, content='passages', content_rowid='id', tokenize='{_TOKENIZER}'
    );
    CREATE VIRTUAL TABLE positions USING fts5vocab(words, instance);
    CREATE VIRTUAL TABLE frequencies USING fts5vocab(words, row);
"""
# A term in more of the passages than this tells them apart too little to be worth its reading.
_COMMON_SHARE = 0.5
_DIGEST_BYTES = 32
_ABANDONED_SECONDS = 24 * 3600


@dataclass(frozen=True)
class ChapterInfo:
    """A chapter without its text."""

    index: int
    title: str
    href: str


@dataclass(frozen=True)
class Passage:
    """
    A passage of a book.

    Attributes:
        chapter_index: the chapter it stands in, from 0.
        start, end: its place: the chapter's text[start:end] is `text`.
        score: how much it looks like an answer; comparable within one search only.
    """

    chapter_index: int
    start: int
    end: int
    text: str
    score: float


class BookIndex:
    """
    An indexed book; a context manager. `BookIndex.open` makes one.

    Attributes:
        title, author, language: as the book names them; "" where it doesn't.
        chapters: all of them, without their text.
    """

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
        """
        Open a book's index; read the book and build it where there is none yet.

        The file in the cache is a SQLite database with its SHA-256 behind it, read whole into
        memory: one that is damaged in any way, or not ours, is built again. It appears under its
        name only when it is complete, so neither a kill nor a second process does harm. Where the
        cache can't be written, the index lives in memory alone.

        Args:
            path: the book's file.
            cache_dir: where indexes live; `default_cache_dir()` if None.
            progress: called with (characters done, characters in all) while the index is built.

        Raises:
            BookError: the book can't be read or indexed.
        """
        path = check_book_file(path)
        folder = Path(cache_dir) if cache_dir is not None else default_cache_dir()
        cached = folder / f"{_digest(path)}-{INDEX_VERSION}.db"
        connection = _load(cached)
        if connection is None:
            connection = _build(open_book(path), progress)
            _store(connection, cached)
        return cls(connection)

    def chapter(self, index: int) -> Chapter:
        """
        A chapter with its text.

        Raises:
            IndexError: no chapter of this number.
        """
        if not 0 <= index < len(self.chapters):
            raise IndexError(
                f"chapter {index}: the book has chapters 0 to {len(self.chapters) - 1}"
            )
        info = self.chapters[index]
        (text,) = self._connection.execute(
            "SELECT text FROM chapters WHERE id = ?", (index,)
        ).fetchone()
        return Chapter(info.index, info.title, info.href, text)

    def search(
        self, question: str, limit: int, *, related: Mapping[str, float] | None = None
    ) -> list[Passage]:
        """
        Find the passages that look most like they answer a question.

        Args:
            question: any text.
            limit: how many passages to return at most, at least 1.
            related: words that are not in the question but may stand in its answer's passage, each
                with its weight in 0..1.

        Returns:
            Passages, best first; fewer than `limit` where fewer have any of the words.

        Raises:
            ValueError: limit below 1.
        """
        if limit < 1:
            raise ValueError(f"limit: {limit}, expected at least 1")
        terms = self._terms(question, related or {})
        ranked = rank_passages(terms, self._passages, limit=limit)
        return [self._passage(passage, score) for passage, score in ranked]

    def _terms(self, question: str, related: Mapping[str, float]) -> list[Term]:
        weights: dict[str, float] = {}
        for word, weight in [*((word, 1.0) for word in query_words(question)), *related.items()]:
            for term in self._stemmer.terms(word):
                weights[term] = max(weights.get(term, 0.0), weight)
        counts = {term: self._frequency(term) for term in weights}
        found = [term for term, count in counts.items() if count]
        common = _COMMON_SHARE * len(self._passages.words)
        telling = [term for term in found if counts[term] <= common]
        return [Term(weights[term], self._positions(term)) for term in telling or found]

    def _frequency(self, term: str) -> int:
        row = self._connection.execute(
            "SELECT doc FROM frequencies WHERE term = ?", (term,)
        ).fetchone()
        return int(row[0]) if row else 0

    def _positions(self, term: str) -> dict[int, list[int]]:
        positions: dict[int, list[int]] = {}
        rows = self._connection.execute("SELECT doc, offset FROM positions WHERE term = ?", (term,))
        for passage, position in rows:
            positions.setdefault(passage, []).append(position)
        return positions

    def _passage(self, passage: int, score: float) -> Passage:
        chapter, start, end, text = self._connection.execute(
            "SELECT chapter, start, end, text FROM passages WHERE id = ?", (passage,)
        ).fetchone()
        return Passage(chapter, start, end, text, score)

    @cached_property
    def _passages(self) -> PassageTable:
        rows = self._connection.execute(
            "SELECT chapter, words FROM passages ORDER BY id"
        ).fetchall()
        return PassageTable([chapter for chapter, _ in rows], [words for _, words in rows])

    @cached_property
    def _stemmer(self) -> "_Stemmer":
        return _Stemmer()

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


class _Stemmer:
    """Gives the terms under which the index keeps a word, by asking the same tokenizer."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:")
        self._connection.executescript(
            f"""
            CREATE VIRTUAL TABLE word USING fts5(text, tokenize='{_TOKENIZER}');
            CREATE VIRTUAL TABLE terms USING fts5vocab(word, instance);
            """
        )

    def terms(self, word: str) -> list[str]:
        """The terms of a word; none where it is only marks, several where it has marks inside."""
        self._connection.execute("DELETE FROM word")
        self._connection.execute("INSERT INTO word VALUES (?)", (word,))
        rows = self._connection.execute("SELECT term FROM terms ORDER BY offset")
        return [term for (term,) in rows]


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


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load(cached: Path) -> sqlite3.Connection | None:
    """The index in a cache file; None where there is no whole one of ours."""
    try:
        content = memoryview(cached.read_bytes())
    except OSError:
        return None
    image, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if hashlib.sha256(image).digest() != digest:
        return None
    connection = sqlite3.connect(":memory:")
    connection.deserialize(image)
    return connection


def _store(connection: sqlite3.Connection, cached: Path) -> None:
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


def _build(book: Book, progress: Progress | None) -> sqlite3.Connection:
    """The index of a book, in memory."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(_SCHEMA)
    except sqlite3.OperationalError as error:
        raise BookIndexError(f"this Python's SQLite can't index books: {error}") from error
    connection.execute(
        "INSERT INTO book VALUES (?, ?, ?)", (book.title, book.author, book.language)
    )
    total = sum(len(chapter.text) for chapter in book.chapters)
    done = 0
    for chapter in book.chapters:
        _add_chapter(connection, chapter)
        done += len(chapter.text)
        if progress is not None:
            progress(done, total)
    connection.execute("INSERT INTO words (words) VALUES ('rebuild')")
    connection.commit()
    return connection


def _add_chapter(connection: sqlite3.Connection, chapter: Chapter) -> None:
    text = chapter.text
    connection.execute(
        "INSERT INTO chapters VALUES (?, ?, ?, ?)",
        (chapter.index, chapter.title, chapter.href, text),
    )
    connection.executemany(
        "INSERT INTO passages (chapter, start, end, words, text) VALUES (?, ?, ?, ?, ?)",
        (
            (chapter.index, start, end, len(text[start:end].split()), text[start:end])
            for start, end in split_passages(text)
        ),
    )
