"""What a library's file holds of one book: its index and its vectors."""

from collections.abc import Callable

import numpy as np

from squadlite.library.database import Database
from squadlite.library.index import BookIndex
from squadlite.library.vectors import SCALE, PassageVectors, TextEmbedder


def load_index(database: Database, book: int) -> BookIndex | None:
    """
    Open a book's index, with its vectors where it has some.

    Returns:
        None where there is no such book.

    Raises:
        LibraryError: the library's file can't be read.
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
    return BookIndex.load(image, vectors)


def add_vectors(
    database: Database,
    book: int,
    embedder: TextEmbedder,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """
    Make a book's vectors and keep them, unless they are there; where the book is gone, do nothing.

    Args:
        database: the library's file.
        book: its number.
        embedder: the model; vectors of another one are replaced.
        progress: called with (passages done, passages in all).

    Raises:
        LibraryError: the library's file can't be read or written.
    """
    rows = database.rows(
        "SELECT digest, model FROM books LEFT JOIN vectors ON book = id WHERE id = ?", book
    )
    if not rows or rows[0][1] == embedder.digest:
        return
    index = load_index(database, book)
    if index is None:
        return
    with index:
        vectors = index.add_vectors(embedder, progress=progress)
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
            rows[0][0],
        )
