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

Places = NDArray[np.uint32]

_SCHEMA = """
    CREATE VIRTUAL TABLE words USING fts5(
        text, content='', columnsize=0, tokenize='porter unicode61 remove_diacritics 2'
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
    places: Places


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

    def entries(self) -> tuple[Places, Iterator[Entry]]:
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
        terms = np.array([numbers[name] for name in chain.from_iterable(stemmed)], np.uint32)
        counts = np.array([len(of_word) for of_word in stemmed], np.uint32)
        words = np.array(self._words, np.uint32)
        places = np.concatenate([[0], np.cumsum(counts[words], dtype=np.uint32)])
        starts: Places = places[np.array(self._ends, np.int64)].astype(np.uint32)
        return starts, _entries(names, _gather(terms, counts, words), starts)


def _gather(terms: Places, counts: Places, words: Places) -> Places:
    """The term at each place, where each spelling's `counts` terms follow those before it."""
    firsts = (np.cumsum(counts, dtype=np.uint32) - counts)[words]
    counts = counts[words]
    before = np.cumsum(counts, dtype=np.uint32) - counts
    # Where the difference is negative it wraps around, and back again with the sum.
    indices = np.repeat(firsts - before, counts)
    indices += np.arange(len(indices), dtype=np.uint32)
    gathered: Places = terms[indices]
    return gathered


def _entries(names: list[str], terms: Places, starts: Places) -> Iterator[Entry]:
    places = _sorted_places(terms)
    ends = np.cumsum(np.bincount(terms, minlength=len(names)))
    passages = np.repeat(np.arange(len(starts) - 1, dtype=np.uint32), np.diff(starts))[places]
    is_new = np.ones(len(places) + 1, bool)
    is_new[1:-1] = passages[1:] != passages[:-1]
    is_new[ends] = True
    passages_before = np.concatenate([[0], np.cumsum(is_new[:-1], dtype=np.uint32)])
    first = 0
    for name, end in zip(names, ends.tolist(), strict=True):
        holding = int(passages_before[end] - passages_before[first])
        yield Entry(name, holding, places[first:end])
        first = end


def _sorted_places(terms: Places) -> Places:
    """The places of each term after those of the term before."""
    places = np.arange(len(terms), dtype=np.uint32)
    # numpy sorts numbers of 16 bits by radix, several times faster than longer ones.
    for shift in (0, 16):
        digits = (terms[places] >> shift).astype(np.uint16)
        places = places[np.argsort(digits, kind="stable")]
    return places
