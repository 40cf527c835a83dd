"""Searching books: the passages of one or of many, ranked together."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from squadlite.library.concordance import Stemmer
from squadlite.library.query import Query, query_words
from squadlite.library.ranking import (
    Integers,
    PassageTable,
    Term,
    rank_by_both,
    rank_passages,
)
from squadlite.library.structure import PageStart, page_at
from squadlite.library.vectors import PassageVectors, TextEmbedder

# A term in more of the passages than this tells them apart too little to be worth its reading.
_COMMON_SHARE = 0.5


@dataclass(frozen=True)
class Passage:
    """
    A passage of a book.

    Attributes:
        chapter_index: the chapter it stands in, from 0.
        start, end: its place: the chapter's text[start:end] is `text`.
        score: how much it looks like an answer; comparable within one search only.
        bm25: the part of the score that the question's words have; all of it without vectors.
        cosine: how near its vector is to the question's, -1..1; None in a search without vectors.
        book: the number in the library of the book it is from; 0 where one book alone is searched.
        pages: the page that the passage begins on, at 0, and those that begin within it; empty for
            a book without pages.
    """

    chapter_index: int
    start: int
    end: int
    text: str
    score: float
    bm25: float
    cosine: float | None = None
    book: int = 0
    pages: tuple[PageStart, ...] = ()

    def page_at(self, offset: int) -> str | None:
        """The label of the page that a place in the passage stands on; None without pages."""
        return page_at(self.pages, offset)


class SearchedBook(Protocol):
    """What a search needs of a book."""

    @property
    def table(self) -> PassageTable:
        """Its passages."""

    def frequency(self, term: str) -> int:
        """How many of its passages hold a term."""

    def places(self, term: str) -> NDArray[np.uint32]:
        """Where a term stands, in order, the terms of all passages counted through from 0."""

    def vectors(self, embedder: TextEmbedder) -> PassageVectors:
        """The vectors of its passages, made where it has none of this model."""

    def place(self, passage: int) -> tuple[int, int, int, str]:
        """Chapter, start, end and text of a passage."""

    def pages(self, chapter: int, start: int, end: int) -> tuple[PageStart, ...]:
        """Where pages begin in a part of a chapter's text, the one that it begins on at 0."""


def search_books(books: Mapping[int, SearchedBook], query: Query, limit: int) -> list[Passage]:
    """
    Find the passages that look most like they answer a question, as if the books were one.

    Args:
        books: number -> book, at least one.
        query, limit: as for `BookIndex.search`.

    Returns:
        Passages of all books, best first.

    Raises:
        ValueError: limit below 1.
    """
    if limit < 1:
        raise ValueError(f"limit: {limit}, expected at least 1")
    numbers, searched = list(books), list(books.values())
    table = _join([book.table for book in searched])
    weights = term_weights(query)
    terms = _terms(weights, searched, len(table))
    ranked: list[tuple[int, float, float, float | None]]
    if query.embedder is None:
        by_terms = rank_passages(terms, table, limit=limit)
        ranked = [(passage, score, score, None) for passage, score in by_terms]
    else:
        cosines = _cosines(query.question, searched, query.embedder)
        joined = rank_by_both(terms, table, cosines, weight=query.embedder.weight, limit=limit)
        ranked = [(one.passage, one.score, one.bm25, one.cosine) for one in joined]
    firsts = [0, *accumulate(len(book.table) for book in searched)]
    found = []
    for passage, score, bm25, cosine in ranked:
        position = int(np.searchsorted(firsts, passage, side="right")) - 1
        book = searched[position]
        chapter, start, end, text = book.place(passage - firsts[position])
        pages = book.pages(chapter, start, end)
        found.append(
            Passage(chapter, start, end, text, score, bm25, cosine, numbers[position], pages)
        )
    return found


def term_weights(query: Query) -> dict[str, float]:
    """
    The terms of a question and of the words related to its own.

    Returns:
        Term -> weight: 1 for the question's, 0..1 for others.
    """
    words = [*((word, 1.0) for word in query_words(query.question)), *query.related.items()]
    with closing(Stemmer()) as stemmer:
        stemmed = stemmer.terms([word for word, _ in words])
    weights: dict[str, float] = {}
    for (_, weight), terms in zip(words, stemmed, strict=True):
        for term in terms:
            weights[term] = max(weights.get(term, 0.0), weight)
    return weights


def _join(tables: Sequence[PassageTable]) -> PassageTable:
    """The passages of several books in one row; chapters and places are counted through."""
    if len(tables) == 1:
        return tables[0]
    chapters, places = [], []
    n_chapters = n_places = 0
    for table in tables:
        chapters.append(table.chapters.astype(np.int64) + n_chapters)
        places.append(table.places[:-1].astype(np.int64) + n_places)
        n_chapters += int(table.chapters[-1]) + 1 if len(table) else 0
        n_places += int(table.places[-1])
    return PassageTable(
        np.concatenate(chapters),
        np.concatenate([table.words for table in tables]),
        np.concatenate([*places, [n_places]]),
    )


def _terms(
    weights: Mapping[str, float], books: Sequence[SearchedBook], n_passages: int
) -> list[Term]:
    """Those terms that tell the passages apart, or all that occur where none does."""
    counts = {term: sum(book.frequency(term) for book in books) for term in weights}
    found = [term for term, count in counts.items() if count]
    telling = [term for term in found if counts[term] <= _COMMON_SHARE * n_passages]
    return [Term(weights[term], _places(term, books)) for term in telling or found]


def _places(term: str, books: Sequence[SearchedBook]) -> Integers:
    if len(books) == 1:
        return books[0].places(term)
    ends = accumulate((int(book.table.places[-1]) for book in books), initial=0)
    return np.concatenate(
        [
            book.places(term).astype(np.int64) + first
            for book, first in zip(books, ends, strict=False)
        ]
    )


def _cosines(
    question: str, books: Sequence[SearchedBook], embedder: TextEmbedder
) -> NDArray[np.float32]:
    vectors = [book.vectors(embedder) for book in books]
    (asked,) = embedder.embed([question])
    return np.concatenate([of_book.cosines(asked) for of_book in vectors])
