"""The passages that a bound leaves of a book: those of a book that ends there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from squadlite.library.concordance import Concordance, Places
from squadlite.library.query import Query
from squadlite.library.ranking import Integers, PassageTable
from squadlite.library.search import Passage, search_books
from squadlite.library.structure import PageStart
from squadlite.library.vectors import PassageVectors, TextEmbedder

if TYPE_CHECKING:
    from squadlite.library.index import BookIndex, Citation

_NOWHERE = np.empty(0, np.uint32)


@dataclass(frozen=True)
class KnownPassages:
    """
    The passages of a whole book, or of what is known of it.

    The text before a bound is cut into passages as a book would be that has no more, so that the
    passages and every number about them are exactly that book's: all but the last ones are found in
    the whole book too, and what the index holds of them is taken from there.

    Attributes:
        table: what ranking knows of them.
        starts, ends: the place of each in its chapter's text.
        shared: how many of them, the first ones, are the whole book's first ones.
        texts: of the others.
        terms: where the terms of the others stand.
    """

    table: PassageTable
    starts: Integers
    ends: Integers
    shared: int
    texts: tuple[str, ...] = ()
    terms: Mapping[str, Places] = field(default_factory=dict)

    @classmethod
    def of_book(cls, table: PassageTable, starts: Integers, ends: Integers) -> Self:
        """All passages of a book."""
        return cls(table, starts, ends, len(table))

    def places(self, term: str, in_book: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Where a term stands in these passages, by where it stands in the book's."""
        end = np.searchsorted(in_book, self.table.places[self.shared])
        return np.concatenate([in_book[:end], self.terms.get(term, _NOWHERE)])

    def of_chapter(self, chapter: int) -> tuple[int, int]:
        """The first passage of a chapter, and the first behind it."""
        first, end = np.searchsorted(self.table.chapters, [chapter, chapter + 1]).tolist()
        return first, end

    def cut(self, chapter: int, text: str) -> Self:
        """
        What is left of a book's passages where it ends.

        Args:
            chapter: the chapter in which the known part ends; those before are known.
            text: as much of it as is known.
        """
        # Most questions come without a bound.
        from squadlite.library.passages import split_passages  # noqa: PLC0415

        passages = split_passages(text)
        first, end = self.of_chapter(chapter)
        in_book = zip(self.starts[first:end].tolist(), self.ends[first:end].tolist(), strict=True)
        same = 0
        # Not strict: the book has more passages, as a rule.
        for place, known in zip(in_book, passages, strict=False):
            if place != known:
                break
            same += 1
        shared, others = first + same, passages[same:]
        texts = [text[start:end] for start, end in others]
        words = [text.split() for text in texts]
        concordance = Concordance()
        for of_passage in words:
            concordance.add(of_passage)
        places, entries = concordance.entries()
        before = self.table.places[shared]
        table = PassageTable(
            _replaced(self.table.chapters, shared, [chapter] * len(others)),
            _replaced(self.table.words, shared, [len(of_passage) for of_passage in words]),
            _replaced(self.table.places, shared, places + before),
        )
        return type(self)(
            table,
            _replaced(self.starts, shared, [start for start, _ in others]),
            _replaced(self.ends, shared, [end for _, end in others]),
            shared,
            tuple(texts),
            {entry.term: entry.places + before for entry in entries},
        )


def _replaced(numbers: Integers, first: int, others: list[int] | Places) -> Integers:
    """The numbers with all from the first one on replaced."""
    return np.concatenate([numbers[:first], np.asarray(others, numbers.dtype)])


class KnownBook:
    """
    What is known of a book: the known passages with their terms, vectors and texts.

    Passages and scores are those of a book that ends there: nothing that stands behind has any part
    in them. Only the vectors of passages that the bound cuts are made here, apart from the others;
    a model that rounds otherwise in other company may give them another last digit.

    Args:
        index: the whole book's.
        passages: the known ones.
    """

    def __init__(self, index: "BookIndex", passages: KnownPassages) -> None:
        self._index = index
        self._passages = passages
        self._is_whole = passages is index.passages
        self._vectors: PassageVectors | None = None

    def search(self, query: Query, limit: int) -> list[Passage]:
        """Find passages as `BookIndex.search` does."""
        return search_books({0: self}, query, limit)

    def cite(self, passage: Passage) -> "Citation":
        """Say what a passage that `search` found is from."""
        return self._index.cite(passage)

    @property
    def table(self) -> PassageTable:
        """What ranking knows of the passages."""
        return self._passages.table

    def frequency(self, term: str) -> int:
        """How many of the passages hold a term."""
        if not self._is_whole:
            return len(np.unique(self.table.holding(self.places(term))))
        # The places of a term in many passages take longer to read than their number.
        return self._index.frequency(term)

    def places(self, term: str) -> NDArray[np.uint32]:
        """Where a term stands, in order, the terms of all passages counted through from 0."""
        in_book = self._index.places(term)
        return in_book if self._is_whole else self._passages.places(term, in_book)

    def vectors(self, embedder: TextEmbedder) -> PassageVectors:
        """The passages' vectors; those that neither index nor this object has are made."""
        vectors = self._index.add_vectors(embedder)
        if self._is_whole:
            return vectors
        if self._vectors is None or self._vectors.model != vectors.model:
            passages = self._passages
            others = PassageVectors.quantize(vectors.model, embedder.embed(passages.texts))
            self._vectors = vectors.replaced(passages.shared, others)
        return self._vectors

    def place(self, passage: int) -> tuple[int, int, int, str]:
        """Chapter, start, end and text of a passage."""
        passages = self._passages
        if passage < passages.shared:
            text = self._index.text(passage)
        else:
            text = passages.texts[passage - passages.shared]
        chapter, start, end = (
            int(numbers[passage])
            for numbers in (passages.table.chapters, passages.starts, passages.ends)
        )
        return chapter, start, end, text

    def pages(self, chapter: int, start: int, end: int) -> tuple[PageStart, ...]:
        """Where pages begin in a part of a chapter's text, the one that it begins on at 0."""
        return self._index.pages(chapter, start, end)
