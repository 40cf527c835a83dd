"""Where each word of a book stands: its terms, and their places."""

import sqlite3
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from squadlite.errors import BookIndexError

_SCHEMA = """
    CREATE VIRTUAL TABLE words USING fts5(
        text, content='', tokenize='porter unicode61 remove_diacritics 2'
    );
    CREATE VIRTUAL TABLE terms USING fts5vocab(words, instance);
"""


class Stemmer:
    """
    Gives the terms under which words are indexed: SQLite's full-text search makes them.

    Raises:
        BookIndexError: this Python's SQLite has no full-text search.
    """

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:")
        try:
            self._connection.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            raise BookIndexError(f"this Python's SQLite can't index books: {error}") from error

    def terms(self, words: Sequence[str]) -> list[list[str]]:
        """
        The terms of each word; none where it is only marks, several where it has marks inside.

        A text's words may be given one by one: no term reaches over whitespace.
        """
        self._connection.execute("INSERT INTO words (words) VALUES ('delete-all')")
        self._connection.executemany(
            "INSERT INTO words (rowid, text) VALUES (?, ?)", enumerate(words)
        )
        found: list[list[str]] = [[] for _ in words]
        for word, _, term in sorted(
            self._connection.execute("SELECT doc, offset, term FROM terms")
        ):
            found[word].append(term)
        return found

    def close(self) -> None:
        """Let go of the tokenizer."""
        self._connection.close()


@dataclass(frozen=True)
class Entry:
    """
    A term of a concordance.

    Attributes:
        term: as the stemmer gives it.
        passages: how many passages hold it.
        places: where it stands, in order, the terms of all passages counted through from 0.
    """

    term: str
    passages: int
    places: NDArray[np.uint32]


class Concordance:
    """
    Collects the words of a book's passages, and says where each term stands.

    Every spelling goes through the stemmer only once, however often it comes.
    """

    def __init__(self) -> None:
        self._spellings: defaultdict[str, int] = defaultdict()
        self._spellings.default_factory = self._spellings.__len__
        self._words = array("I")
        self._ends = array("Q", [0])

    def add(self, words: Iterable[str]) -> None:
        """Add the next passage, as its words between whitespace."""
        self._words.extend(map(self._spellings.__getitem__, words))
        self._ends.append(len(self._words))

    def entries(self) -> tuple[NDArray[np.uint32], Iterator[Entry]]:
        """
        Work out the places.

        Returns:
            (passages + 1,) the first place of each passage, and the number of places in all; and
            every term, in alphabetical order.
        """
        with closing(Stemmer()) as stemmer:
            stemmed = stemmer.terms(list(self._spellings))
        names = sorted(set(chain.from_iterable(stemmed)))
        numbers = {name: number for number, name in enumerate(names)}
        terms = np.array([numbers[name] for name in chain.from_iterable(stemmed)], dtype=np.uint32)
        counts = np.array([len(of_word) for of_word in stemmed], dtype=np.int64)
        words = np.array(self._words, dtype=np.uint32)
        term_ends = np.concatenate([[0], np.cumsum(counts[words])])
        starts = term_ends[np.array(self._ends, dtype=np.int64)]
        return starts.astype(np.uint32), _entries(names, _gather(terms, counts, words), starts)


def _gather(
    terms: NDArray[np.uint32], counts: NDArray[np.int64], words: NDArray[np.uint32]
) -> NDArray[np.uint32]:
    """The term at each place, where each spelling's `counts` terms follow those before it."""
    firsts = np.cumsum(counts) - counts
    counts, firsts = counts[words], firsts[words]
    before = np.cumsum(counts) - counts
    gathered: NDArray[np.uint32] = terms[
        np.arange(counts.sum()) + np.repeat(firsts - before, counts)
    ]
    return gathered


def _entries(
    names: list[str], terms: NDArray[np.uint32], starts: NDArray[np.int64]
) -> Iterator[Entry]:
    places = _sorted_places(terms)
    ends = np.cumsum(np.bincount(terms, minlength=len(names)))
    passages = np.repeat(np.arange(len(starts) - 1), np.diff(starts))[places]
    is_new = np.diff(passages, prepend=-1) != 0
    is_new[ends[:-1]] = True
    passages_before = np.concatenate([[0], np.cumsum(is_new)])
    first = 0
    for name, end in zip(names, ends.tolist(), strict=True):
        holding = int(passages_before[end] - passages_before[first])
        yield Entry(name, holding, places[first:end])
        first = end


def _sorted_places(terms: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The places of each term after those of the term before."""
    places = np.arange(len(terms), dtype=np.uint32)
    # numpy sorts numbers of 16 bits by radix, several times faster than longer ones.
    for shift in (0, 16):
        digits = (terms[places] >> shift).astype(np.uint16)
        places = places[np.argsort(digits, kind="stable")]
    return places
