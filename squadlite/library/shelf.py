"""A shelf: books of a library asked together, the right ones found first."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from squadlite.closing import Closing
from squadlite.engines import LOCAL, Engine, Shared
from squadlite.errors import LibraryError
from squadlite.library.bound import Bound
from squadlite.library.database import Database
from squadlite.library.index import BookIndex, BookSource, Citation
from squadlite.library.query import Query
from squadlite.library.ranking import TERM_SATURATION
from squadlite.library.search import Passage, search_books, term_weights
from squadlite.library.stored import add_vectors, load_index
from squadlite.progress import Progress

# The passages of so many books are ranked for a question. On a shelf of 56 novels the right one is
# among 8, 16, 32 for 95, 98, 99 questions in a hundred; docs/library.md.
BOOKS_SEARCHED = 32
# How much less a term's passages count in a book of twice the length.
_LENGTH_WEIGHT = 0.5


@dataclass(frozen=True)
class ShelvedBook:
    """
    A book on a shelf.

    Attributes:
        id, title, path: its number in the library, its title and file.
        until: how far it may be told of; None: to its end.
        passages: how many it has up to there.
    """

    id: int
    title: str
    path: str
    until: Bound | None
    passages: int


class Selection:
    """
    The books that a question is put to, wherever it is answered.

    `ask` takes it as it takes a book's index.

    Args:
        books: number -> book and its index.
    """

    def __init__(self, books: Mapping[int, tuple[ShelvedBook, Shared[BookIndex]]]) -> None:
        self._books = books

    def search(self, query: Query, limit: int) -> list[Passage]:
        """
        Find the passages of all these books that look most like they answer a question.

        Args:
            query, limit: as for `BookIndex.search`.

        Returns:
            Passages, best first, ranked as if the books were one.

        Raises:
            ValueError: limit below 1.
        """
        if not self._books:
            return []
        known = {
            number: index.get().known(book.until) for number, (book, index) in self._books.items()
        }
        return search_books(known, query, limit)

    def cite(self, passage: Passage) -> Citation:
        """Say what a passage that `search` found is from."""
        book, index = self._books[passage.book]
        chapter = index.get().chapters[passage.chapter_index]
        return Citation(book.title, BookSource(book.id, book.path), chapter)


class Shelf(Closing):
    """
    Books of a library as they were when the shelf was made; a context manager.

    `Library.shelf` makes one. `ask` takes it as it takes a book's index.

    Args:
        database: the library's, which stays open.
        books: number -> book, at least one.
        engine: where vectors are made, and by `ask_shelf` questions answered.
        progress: called with (passages done, passages in all) while a book's vectors are made.
    """

    def __init__(
        self,
        database: Database,
        books: Mapping[int, ShelvedBook],
        *,
        engine: Engine = LOCAL,
        progress: Progress | None = None,
    ) -> None:
        self.engine = engine
        self._database = database
        self._progress = progress
        self._books = books
        self._numbers = np.array(sorted(books))
        self._passages = np.array([books[number].passages for number in sorted(books)])
        self._open: dict[int, Shared[BookIndex]] = {}

    def search(self, query: Query, limit: int) -> list[Passage]:
        """
        Find the passages of all books that look most like they answer a question.

        Args:
            query, limit: as for `BookIndex.search`.

        Returns:
            Passages, best first, of the books that `select` gives.

        Raises:
            LibraryError: the library's file can't be read.
            ValueError: limit below 1.
        """
        return self.select(query).search(query, limit)

    def select(self, query: Query) -> Selection:
        """
        Find the books that may answer a question: those whose terms promise most.

        Args:
            query: the question; where it has an embedder, those of the books that have no vectors
                of it get them, as by `Library.add_vectors`. Words only related to the question's
                lead to more wrong books than right ones, and don't count.

        Raises:
            LibraryError: the library's file can't be read.
            EngineError: see `Engine.map`.
        """
        promising = self._promising(query.question)
        if query.embedder is not None:
            new = [book for book in promising if book not in self._open]
            add_vectors(
                self._database, new, query.embedder, engine=self.engine, progress=self._progress
            )
        selected = {
            book: (self._books[book], index)
            for book in promising
            if (index := self._index(book)) is not None
        }
        self._close_all_but(max(len(promising), self.engine.max_shared))
        return Selection(selected)

    def cite(self, passage: Passage) -> Citation:
        """
        Say what a passage that `search` found is from.

        Raises:
            LibraryError: its book has been removed meanwhile.
        """
        book, index = self._books[passage.book], self._index(passage.book)
        if index is None:
            raise LibraryError(f"book {book.id}: {book.title} has been removed meanwhile")
        return Selection({book.id: (book, index)}).cite(passage)

    def _promising(self, question: str) -> list[int]:
        """The numbers of the books whose passages are worth ranking: bm25 with books' passages."""
        if len(self._numbers) <= BOOKS_SEARCHED:
            return list(self._books)
        total = int(self._passages.sum())
        relative = self._passages / max(1.0, float(self._passages.mean()))
        saturation = TERM_SATURATION * (1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * relative)
        scores = np.zeros(len(self._numbers))
        for term in term_weights(Query(question)):
            positions, counts = self._holding(term)
            holding = int(counts.sum())
            rarity = math.log(1 + (total - holding + 0.5) / (holding + 0.5))
            scores[positions] += rarity * counts / (counts + saturation[positions])
        best = np.argsort(-scores, kind="stable")[:BOOKS_SEARCHED]
        return [int(number) for number in self._numbers[best]]

    def _holding(self, term: str) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """The positions of the books that hold a term, and how many passages of each do."""
        rows = self._database.rows("SELECT book, passages FROM terms WHERE term = ?", term)
        books, counts = np.array(rows, np.int64).reshape(-1, 2).T
        positions = np.searchsorted(self._numbers, books)
        is_here = self._numbers[np.minimum(positions, len(self._numbers) - 1)] == books
        return positions[is_here], counts[is_here]

    def _index(self, book: int) -> Shared[BookIndex] | None:
        """A book's index; None where the book has been removed since the shelf was made."""
        if book in self._open:
            self._open[book] = self._open.pop(book)  # the last one used stands last
            return self._open[book]
        index = load_index(self._database, book)
        if index is None:
            return None
        self._open[book] = self.engine.share(index)
        return self._open[book]

    def _close_all_but(self, number: int) -> None:
        while len(self._open) > number:
            self._open.pop(next(iter(self._open))).close()

    def close(self) -> None:
        """Let go of the books; the library stays open."""
        self._close_all_but(0)
