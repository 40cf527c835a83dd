"""What a library's file holds of one book: its entry, index, cover, terms and vectors."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from squadlite.engines import LOCAL, Engine
from squadlite.errors import LibraryError
from squadlite.library.bound import Bound
from squadlite.library.database import Database
from squadlite.library.index import BookIndex
from squadlite.library.index_building import INDEX_VERSION
from squadlite.library.structure import Book, Cover
from squadlite.library.vectors import SCALE, PassageVectors, TextEmbedder
from squadlite.progress import Progress


@dataclass(frozen=True)
class Content:
    """What a library keeps of a file's content: the index of the book and its cover."""

    index: BookIndex
    cover: Cover | None

    @classmethod
    def of(cls, book: Book) -> Self:
        """Index a book."""
        return cls(BookIndex.build(book), book.cover)


def load_index(database: Database, book: int) -> BookIndex | None:
    """
    Open a book's index, with its vectors where it has some.

    Returns:
        None where there is no such book.

    Raises:
        LibraryError: the library's file can't be read, or the index is damaged.
    """
    rows = database.rows(
        "SELECT image, model, width, codes, scales FROM indexes"
        " LEFT JOIN vectors USING (book) WHERE book = ?",
        book,
    )
    if not rows:
        return None
    ((image, model, width, codes, scales),) = rows
    vectors = None
    if model is not None:
        vectors = PassageVectors(
            model, np.frombuffer(codes, np.int8).reshape(-1, width), np.frombuffer(scales, SCALE)
        )
    return _open_index(database, book, image, vectors)


def _open_index(
    database: Database, book: int, image: bytes, vectors: PassageVectors | None = None
) -> BookIndex:
    try:
        return BookIndex.load(image, vectors)
    except (sqlite3.Error, TypeError, ValueError) as error:
        raise LibraryError(
            f"book {book}: its index in {database.path} is damaged ({error}); remove it and add it "
            "again"
        ) from error


def add_vectors(
    database: Database,
    books: Sequence[int],
    embedder: TextEmbedder,
    *,
    engine: Engine = LOCAL,
    progress: Progress | None = None,
) -> None:
    """
    Make the vectors of books that have none of a model; each book's are kept at once.

    Args:
        database: the library's file.
        books: their numbers; those that are gone are passed over.
        embedder: the model; vectors of another one are replaced.
        engine: where they are made.
        progress: called with (passages done, passages to be done).

    Raises:
        LibraryError: the library's file can't be read or written.
        EngineError: see `Engine.map`.
    """
    missing = [
        row
        for book in books
        for row in database.rows(
            "SELECT id, digest, passages FROM books LEFT JOIN vectors ON book = id"
            " WHERE id = ? AND model IS NOT ?",
            book,
            embedder.digest,
        )
    ]
    total = sum(passages for *_, passages in missing)
    done = 0

    def advance(of_book: int, _: int) -> None:
        if progress is not None:
            progress(done + of_book, total)

    def indexes() -> Iterator[BookIndex | None]:
        for book, *_ in missing:
            index = load_index(database, book)
            yield index
            if index is not None:
                index.close()

    made = engine.map(_Embedding(embedder, advance), indexes())
    for (book, digest, passages), vectors in zip(missing, made, strict=True):
        if vectors is not None:
            _keep(database, book, digest, vectors)
        advance(passages, passages)
        done += passages


@dataclass(frozen=True)
class _Embedding:
    embedder: TextEmbedder
    progress: Progress | None = None

    def __call__(self, index: BookIndex | None) -> PassageVectors | None:
        if index is None:
            return None
        return index.add_vectors(self.embedder, progress=self.progress)

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process can't tell this one how far it has come.
        return type(self), (self.embedder,)


def _keep(database: Database, book: int, digest: str, vectors: PassageVectors) -> None:
    with database.writing():
        # Not where the book has been removed, or become another, while they were made.
        database.write(
            "INSERT OR REPLACE INTO vectors SELECT id, ?, ?, ?, ? FROM books"
            " WHERE id = ? AND digest = ?",
            vectors.model,
            vectors.codes.shape[1],
            vectors.codes.tobytes(),
            vectors.scales.astype(SCALE).tobytes(),
            book,
            digest,
        )


def write_book(database: Database, book: int | None, digest: str, content: Content) -> int:
    """Write all that a transaction has to: all of a book but its vectors."""
    index, cover = content.index, content.cover
    values = (
        digest,
        index.title,
        index.author,
        index.language,
        len(index.chapters),
        len(index.passages.table),
        INDEX_VERSION,
    )
    if book is None:
        book = database.write(
            "INSERT INTO books (digest, title, author, language, chapters, passages,"
            " index_version) VALUES (?, ?, ?, ?, ?, ?, ?)",
            *values,
        )
    else:
        delete_terms(database, book)
        database.write("DELETE FROM vectors WHERE book = ?", book)
        database.write("DELETE FROM covers WHERE book = ?", book)
        database.write(
            "UPDATE books SET digest = ?, title = ?, author = ?, language = ?, chapters = ?,"
            " passages = ?, index_version = ? WHERE id = ?",
            *values,
            book,
        )
        _move_places_inside(database, book, index)
    database.write("INSERT OR REPLACE INTO indexes VALUES (?, ?)", book, index.image())
    if cover is not None:
        database.write("INSERT INTO covers VALUES (?, ?, ?)", book, cover.media_type, cover.data)
    write_terms(database, book, index)
    return book


def _move_places_inside(database: Database, book: int, index: BookIndex) -> None:
    """Where a book that has become shorter ends before a place kept in it, its end is the place."""
    last = index.chapter(len(index.chapters) - 1)
    end = last.index, len(last.text)
    for place in ("(until_chapter, until_end)", "(position_chapter, position_offset)"):
        database.write(
            f"UPDATE books SET {place} = (?, ?) WHERE id = ? AND {place} > (?, ?)",
            *end,
            book,
            *end,
        )


def write_terms(database: Database, book: int, index: BookIndex) -> None:
    """Write the terms of the part of a book that may be told of."""
    ((chapter, end),) = database.rows(
        "SELECT until_chapter, until_end FROM books WHERE id = ?", book
    )
    known = index.known(None if chapter is None else Bound(chapter, end))
    counts = ((term, book, known.frequency(term)) for term in index.terms())
    database.write_all("INSERT INTO terms VALUES (?, ?, ?)", (row for row in counts if row[-1]))
    database.write("UPDATE books SET known_passages = ? WHERE id = ?", len(known.table), book)


def delete_book(database: Database, book: int) -> None:
    """Take a book and all that is held of it out, in a transaction."""
    delete_terms(database, book)
    database.write("DELETE FROM books WHERE id = ?", book)


def delete_terms(database: Database, book: int) -> None:
    """Take the terms of a book out, in a transaction."""
    ((image, version),) = database.rows(
        "SELECT image, index_version FROM indexes JOIN books ON id = book WHERE id = ?", book
    )
    if version == INDEX_VERSION:
        with suppress(LibraryError), _open_index(database, book, image) as index:
            database.write_all(
                "DELETE FROM terms WHERE term = ? AND book = ?",
                ((term, book) for term in index.terms()),
            )
            return
    # An index that can't be read any more: the terms of all books are gone through.
    database.write("DELETE FROM terms WHERE book = ?", book)
