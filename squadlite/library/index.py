"""A book's index: its chapters, passages and words in one SQLite file in the user's cache."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from squadlite.cache import default_cache_dir
from squadlite.closing import Closing
from squadlite.digests import digest_of
from squadlite.errors import BookIndexError
from squadlite.library.book import check_book_file, open_book
from squadlite.library.cache import load, store, take_into_memory
from squadlite.library.index_building import INDEX_VERSION, NUMBER, build_index
from squadlite.library.known import KnownBook, KnownPassages
from squadlite.library.query import Query
from squadlite.library.ranking import PassageTable
from squadlite.library.search import Passage
from squadlite.library.structure import Book, Chapter, PageStart
from squadlite.library.vectors import (
    PassageVectors,
    TextEmbedder,
    read_vectors,
    write_vectors,
)
from squadlite.progress import Progress

if TYPE_CHECKING:
    from squadlite.library.bound import Bound


@dataclass(frozen=True)
class ChapterInfo:
    """A chapter without its text."""

    index: int
    title: str
    href: str


@dataclass(frozen=True)
class BookSource:
    """Where a library has a book: its number there and its file."""

    id: int
    path: str


@dataclass(frozen=True)
class Citation:
    """
    What a passage is from.

    Attributes:
        book: the book's title.
        source: where the library has the book; None where it isn't in one.
        chapter: the passage's.
    """

    book: str
    source: BookSource | None
    chapter: ChapterInfo


class BookIndex(Closing):
    """
    An indexed book; a context manager. `BookIndex.open` makes one.

    Attributes:
        title, author, language: as the book names them; "" where it doesn't.
        chapters: all of them, without their text.
    """

    title: str
    author: str
    language: str

    def __init__(
        self,
        connection: sqlite3.Connection,
        cached: Path | None = None,
        vectors: PassageVectors | None = None,
    ) -> None:
        self._connection = connection
        self._cached = cached
        self._vectors = vectors
        self.title, self.author, self.language = connection.execute(
            "SELECT title, author, language FROM book"
        ).fetchone()
        self.chapters = tuple(
            ChapterInfo(*row)
            for row in connection.execute("SELECT id, title, href FROM chapters ORDER BY id")
        )
        arrays = connection.execute(
            "SELECT chapters, starts, ends, words, places FROM arrays"
        ).fetchone()
        chapters, starts, ends, words, places = (np.frombuffer(array, NUMBER) for array in arrays)
        self.passages = KnownPassages.of_book(PassageTable(chapters, words, places), starts, ends)
        # What the last bound leaves, since the next question comes with the same, as a rule.
        self._bound: Bound | None = None
        self._known = KnownBook(self, self.passages)

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

        The file in the cache is a SQLite database with its checksum behind it: one that is damaged
        in any way, or that others could have written, is built again. It appears under its name
        only when it is complete, so neither a kill nor a second process does harm. Where the cache
        can't be written, the index lives in memory alone.

        Args:
            path: the book's file.
            cache_dir: where indexes live; `default_cache_dir()` if None.
            progress: called with (characters done, characters in all) while the index is built.

        Raises:
            BookError: the book can't be read or indexed.
        """
        path = check_book_file(path)
        folder = Path(cache_dir) if cache_dir is not None else default_cache_dir()
        cached = folder / f"{digest_of(path)}-{INDEX_VERSION}.db"
        connection = load(cached)
        if connection is None:
            connection = build_index(open_book(path), progress)
            store(connection, cached)
        return cls(connection, cached)

    @classmethod
    def build(cls, book: Book) -> Self:
        """
        Index a book in memory.

        Raises:
            BookIndexError: this Python's SQLite can't.
        """
        return cls(build_index(book))

    @classmethod
    def load(cls, image: bytes, vectors: PassageVectors | None = None) -> Self:
        """
        Open an index that `image` gave.

        Args:
            image: of an index of INDEX_VERSION.
            vectors: those of the book's passages; None: as the image has them.
        """
        connection = sqlite3.connect(":memory:")
        connection.deserialize(image)
        return cls(connection, vectors=vectors)

    def image(self) -> bytes:
        """The index as bytes: a SQLite database."""
        return self._connection.serialize()

    def __reduce__(self) -> tuple[Any, ...]:
        return self.load, (self.image(), self._vectors)

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
        first, end = self.passages.of_chapter(index)
        pieces = self._rows(
            "SELECT text FROM passages WHERE id >= ? AND id < ? ORDER BY id", first, end
        )
        text = "".join(text for (text,) in pieces)
        pages = self.pages(index, 0, len(text))
        return Chapter(info.index, info.title, info.href, text, pages)

    def read_chapters(self) -> Iterator[Chapter]:
        """All chapters with their text, in order."""
        return (self.chapter(info.index) for info in self.chapters)

    def add_vectors(
        self, embedder: TextEmbedder, *, progress: Progress | None = None
    ) -> PassageVectors:
        """
        Make the vectors of all passages, unless the index holds them, and keep them in it.

        An index holds the vectors of one model: those of another take their place. Where the cache
        can't be written, they are there as long as this object.

        Args:
            embedder: the model.
            progress: called with (passages done, passages in all) while vectors are made.

        Returns:
            The vectors, in the order of the passages.
        """
        if self._vectors is None:
            self._vectors = read_vectors(self._connection)
        if self._vectors is None or self._vectors.model != embedder.digest:
            embedded = embedder.embed(self._texts(), progress=progress)
            self._vectors = PassageVectors.quantize(embedder.digest, embedded)
            # The file may be mapped: it is let go of before a new one takes its name.
            self._connection = take_into_memory(self._connection)
            write_vectors(self._connection, self._vectors)
            if self._cached is not None:
                store(self._connection, self._cached)
        return self._vectors

    def search(self, query: Query, limit: int) -> list[Passage]:
        """
        Find the passages that look most like they answer a question.

        Args:
            query: the question, and what else to search by.
            limit: how many passages to return at most, at least 1.

        Returns:
            Passages, best first; fewer than `limit` where the book has fewer or, without an
            embedder, fewer have any of the words.

        Raises:
            ValueError: limit below 1.
        """
        return self.known(None).search(query, limit)

    def known(self, until: "Bound | None") -> KnownBook:
        """
        What is known of the book, to be asked in its place.

        Args:
            until: how far it is known; None: to its end.
        """
        if until != self._bound:
            passages = self.passages
            if until is not None:
                is_all = until.chapter >= len(self.chapters)
                text = "" if is_all else self.chapter(until.chapter).text[: until.end]
                passages = passages.cut(until.chapter, text)
            self._bound, self._known = until, KnownBook(self, passages)
        return self._known

    def cite(self, passage: Passage) -> Citation:
        """Say what a passage that `search` found is from."""
        return Citation(self.title, None, self.chapters[passage.chapter_index])

    def terms(self) -> list[str]:
        """Every term of the book, in alphabetical order."""
        return [term for (term,) in self._rows("SELECT term FROM terms")]

    def frequency(self, term: str) -> int:
        """How many passages hold a term."""
        row = next(self._rows("SELECT passages FROM terms WHERE term = ?", term), None)
        return int(row[0]) if row else 0

    def places(self, term: str) -> NDArray[np.uint32]:
        """Where a term stands, in order, the terms of all passages counted through from 0."""
        row = next(self._rows("SELECT places FROM terms WHERE term = ?", term), None)
        return np.frombuffer(row[0] if row else b"", NUMBER)

    def text(self, passage: int) -> str:
        """The text of a passage."""
        table = self.passages.table
        start, end = int(self.passages.starts[passage]), int(self.passages.ends[passage])
        # The first passage of a chapter is kept with what stands before it.
        is_first = passage == 0 or table.chapters[passage - 1] != table.chapters[passage]
        before = start if is_first else 0
        text = ""
        for (piece,) in self._rows("SELECT text FROM passages WHERE id >= ? ORDER BY id", passage):
            text += piece
            if len(text) >= before + end - start:
                break
        return text[before : before + end - start]

    def pages(self, chapter: int, start: int, end: int) -> tuple[PageStart, ...]:
        """Where pages begin in a part of a chapter's text, the one that it begins on at 0."""
        rows = self._rows(
            "SELECT label, start FROM pages WHERE chapter = ?1 AND start < ?3 AND start >= "
            "(SELECT max(start) FROM pages WHERE chapter = ?1 AND start <= ?2) ORDER BY start",
            chapter,
            start,
            end,
        )
        return tuple(PageStart(label, max(place - start, 0)) for label, place in rows)

    def _rows(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        # A cached index was checked when it was opened; a library's may be damaged anywhere.
        try:
            yield from self._connection.execute(query, values)
        except sqlite3.DatabaseError as error:
            raise BookIndexError(
                f"{self.title}: its index is damaged ({error}); remove the book and add it again"
            ) from error

    def _texts(self) -> list[str]:
        """The text of every passage."""
        texts = []
        for chapter in self.chapters:
            text = self.chapter(chapter.index).text
            first, end = self.passages.of_chapter(chapter.index)
            places = zip(
                self.passages.starts[first:end], self.passages.ends[first:end], strict=True
            )
            texts += [text[start:stop] for start, stop in places]
        return texts

    def close(self) -> None:
        """Close the index file."""
        self._connection.close()
