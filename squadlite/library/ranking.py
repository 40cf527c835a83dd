"""Which passages of a book look most like they answer a question: bm25 that looks around."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

# bm25's usual constants.
TERM_SATURATION = 1.2
LENGTH_WEIGHT = 0.75
# A name stands in one passage and "he" in the next, so a term counts a little in the passages
# around those that hold it: this share at this distance.
NEARBY = ((1, 0.2), (2, 0.1))
# What it is worth that a term occurs anywhere in the passage's chapter.
CHAPTER_WEIGHT = 0.2
# What it is worth that terms stand within so many words of each other, for the best passages.
CLOSE_WEIGHT = 1.0
CLOSE_WORDS = 25
CLOSE_CANDIDATES = 150
# The bm25 score that counts as 1 beside a weighted cosine. Not the best passage's, which says far
# more for one question than for another (docs/answers.md, "Searching").
BM25_UNIT = 12.0

Integers = NDArray[np.integer]
Scores = NDArray[np.float64]
Cosines = NDArray[np.float32]


@dataclass(frozen=True)
class Term:
    """
    A word of the query.

    Attributes:
        weight: 1 for a word of the question, less for one that is only related to it.
        places: where it stands, in order, the words of all passages counted through from 0.
    """

    weight: float
    places: Integers


@dataclass(frozen=True)
class PassageTable:
    """
    What ranking knows of the P passages, in their order in the book.

    Attributes:
        chapters: (P,) the chapter of each; never falling.
        words: (P,) the length of each, in words.
        places: (P + 1,) the place of each one's first term, and the number of places in all.
    """

    chapters: Integers
    words: Integers
    places: Integers

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def saturation(self) -> Scores:
        """(P,) how many times a term must stand in each passage for half of what it can gain."""
        relative = self.words / (int(self.words.sum(dtype=np.int64)) / len(self))
        return TERM_SATURATION * (1 - LENGTH_WEIGHT + LENGTH_WEIGHT * relative)

    @cached_property
    def has_neighbour(self) -> dict[int, NDArray[np.bool_]]:
        """(P,) for each step of NEARBY, back and forth, whether it ends in the same chapter."""
        has = {}
        for distance, _ in NEARBY:
            same = self.chapters[distance:] == self.chapters[:-distance]
            none = np.zeros(min(distance, len(self)), dtype=bool)
            has[-distance] = np.concatenate([none, same])
            has[distance] = np.concatenate([same, none])
        return has

    @cached_property
    def number_of_chapters(self) -> int:
        """How many chapters have passages."""
        return len(_runs(self.chapters))

    def holding(self, places: Integers) -> Integers:
        """The passage that each place is in."""
        return np.searchsorted(self.places, places, side="right") - 1


@dataclass(frozen=True)
class JoinedScore:
    """
    A passage's score by terms and vectors.

    Attributes:
        passage: its number, from 0.
        score: bm25 in units of BM25_UNIT, and the weighted cosine, together.
        bm25: as `rank_passages` gives it.
        cosine: of the passage's vector and the question's.
    """

    passage: int
    score: float
    bm25: float
    cosine: float


@dataclass(frozen=True)
class _Occurrence:
    """A term of the query, the passages that hold it, and how often each does."""

    term: Term
    passages: Integers
    counts: Integers
    rarity: float


def rank_passages(
    terms: Sequence[Term], passages: PassageTable, *, limit: int
) -> list[tuple[int, float]]:
    """
    Rank the passages for a query.

    Args:
        terms: the query; only passages that hold one of them, or stand beside one that does, are
            looked at.
        passages: the book's.
        limit: how many to return at most.

    Returns:
        (number, score) of the best passages, best first; the first passage has number 0.

    Source: Robertson & Zaragoza 2009 for bm25; the terms added to it are ours, fitted to questions
    over five books (docs/answers.md, "Searching").
    """
    scores, candidates = _bm25(terms, passages, limit)
    best = _best(scores, candidates, limit)
    return list(zip(best.tolist(), scores[best].tolist(), strict=True))


def rank_by_both(
    terms: Sequence[Term], passages: PassageTable, cosines: Cosines, *, weight: float, limit: int
) -> list[JoinedScore]:
    """
    Rank all passages, also those that hold no term, by bm25 and by what they are about.

    Args:
        terms, passages, limit: as for `rank_passages`.
        cosines: (P,) of each passage's vector and the question's.
        weight: what a cosine of 1 is worth beside a bm25 score of BM25_UNIT.

    Returns:
        The best passages, best first.
    """
    bm25, _ = _bm25(terms, passages, limit)
    scores = bm25 / BM25_UNIT + weight * cosines
    return [
        JoinedScore(passage, float(scores[passage]), float(bm25[passage]), float(cosines[passage]))
        for passage in _best(scores, np.arange(len(passages)), limit).tolist()
    ]


def _bm25(terms: Sequence[Term], passages: PassageTable, limit: int) -> tuple[Scores, Integers]:
    """The score of every passage, and the best of those that terms reach, in any order."""
    occurrences = [_occurrence(term, passages) for term in terms]
    scores = np.zeros(len(passages))
    reached = np.zeros(len(passages), dtype=bool)
    for occurrence in occurrences:
        scores += _gains(occurrence, passages, reached)
    scores += _chapter_bonus(occurrences, passages)
    candidates = _best(scores, np.flatnonzero(reached), max(limit, CLOSE_CANDIDATES))
    scores[candidates] += CLOSE_WEIGHT * _closeness(candidates, occurrences, passages)
    return scores, candidates


def _occurrence(term: Term, passages: PassageTable) -> _Occurrence:
    holding = passages.holding(term.places)
    firsts = _runs(holding)
    counts = np.append(firsts[1:], len(holding)) - firsts
    return _Occurrence(term, holding[firsts], counts, _rarity(len(firsts), len(passages)))


def _runs(values: Integers) -> Integers:
    """Where each run of equal values begins."""
    begins = np.ones(len(values), dtype=bool)
    begins[1:] = values[1:] != values[:-1]
    return np.flatnonzero(begins)


def _rarity(holding: int, total: int) -> float:
    return math.log(1 + (total - holding + 0.5) / (holding + 0.5))


def _gains(occurrence: _Occurrence, passages: PassageTable, reached: NDArray[np.bool_]) -> Scores:
    """What a term adds to each passage that holds it or stands near one that does: `reached`."""
    held, counts = occurrence.passages, occurrence.counts
    weight = occurrence.term.weight * occurrence.rarity
    own = weight * counts * (TERM_SATURATION + 1) / (counts + passages.saturation[held])
    gains = np.zeros(len(passages))
    gains[held] = own
    reached[held] = True
    for distance, share in NEARBY:
        for step in (-distance, distance):
            near = passages.has_neighbour[step][held]
            neighbours = held[near] + step
            gains[neighbours] = np.maximum(gains[neighbours], share * own[near])
            reached[neighbours] = True
    return gains


def _chapter_bonus(occurrences: Sequence[_Occurrence], passages: PassageTable) -> Scores:
    """What each passage gains by its chapter's holding terms."""
    bonus = np.zeros(int(passages.chapters[-1]) + 1 if len(passages) else 0)
    for occurrence in occurrences:
        chapters = passages.chapters[occurrence.passages]
        chapters = chapters[_runs(chapters)]
        rarity = math.log(passages.number_of_chapters / len(chapters))
        bonus[chapters] += CHAPTER_WEIGHT * occurrence.term.weight * rarity
    return bonus[passages.chapters]


def _best(scores: Scores, among: Integers, number: int) -> Integers:
    """So many of these passages, those with the highest scores; the earlier one where they tie."""
    if number < len(among):
        values = scores[among]
        worst = len(values) - number
        among = among[values >= np.partition(values, worst)[worst]]
    return among[np.lexsort((among, -scores[among]))][:number]


def _closeness(
    candidates: Integers, occurrences: Sequence[_Occurrence], passages: PassageTable
) -> Scores:
    """For each candidate, the rarity of the question's terms in its best stretch of CLOSE_WORDS."""
    asked = [occurrence for occurrence in occurrences if occurrence.term.weight == 1]
    closeness = np.zeros(len(passages))
    if not asked:
        return closeness[candidates]
    is_candidate = np.zeros(len(passages), dtype=bool)
    is_candidate[candidates] = True
    inside = [
        occurrence.term.places[np.repeat(is_candidate[occurrence.passages], occurrence.counts)]
        for occurrence in asked
    ]
    # A best stretch begins with a term, and reaches no further than its passage.
    starts = np.concatenate(inside).astype(np.int64)
    holding = passages.holding(starts)
    ends = np.minimum(starts + CLOSE_WORDS + 1, passages.places[holding + 1])
    worth = np.zeros(len(starts))
    for occurrence, places in zip(asked, inside, strict=True):
        worth += occurrence.rarity * (
            np.searchsorted(places, starts) < np.searchsorted(places, ends)
        )
    np.maximum.at(closeness, holding, worth)
    return closeness[candidates]
