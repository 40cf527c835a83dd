"""Which passages of a book look most like they answer a question: bm25 that looks around."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

# bm25's usual constants.
TERM_SATURATION = 1.2
LENGTH_WEIGHT = 0.75
# A name stands in one passage and "he" in the next, so a term counts a little in the passages
# around those that hold it: this share at this distance.
NEARBY = ((1, 0.3), (2, 0.15))
# What it is worth that a term occurs anywhere in the passage's chapter.
CHAPTER_WEIGHT = 1.0
# What it is worth that terms stand within so many words of each other, for the best passages.
CLOSE_WEIGHT = 0.6
CLOSE_WORDS = 25
CLOSE_CANDIDATES = 150

Positions = Mapping[int, Sequence[int]]


@dataclass(frozen=True)
class Term:
    """
    A word of the query.

    Attributes:
        weight: 1 for a word of the question, less for one that is only related to it.
        positions: for each passage that holds it, where: counted in words, in order.
    """

    weight: float
    positions: Positions


@dataclass(frozen=True)
class PassageTable:
    """
    What ranking knows of the passages; the passage with id i is at position i - 1.

    Attributes:
        chapters: the chapter of each.
        words: the length of each, in words.
    """

    chapters: Sequence[int]
    words: Sequence[int]

    @cached_property
    def average_words(self) -> float:
        """The mean length of a passage."""
        return sum(self.words) / len(self.words)


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
        (id, score) of the best passages, best first.

    Source: Robertson & Zaragoza 2009 for bm25; the terms added to it are ours, chosen on the
    questions of benchmarks/books.py and on FairytaleQA.
    """
    scores: dict[int, float] = {}
    for term in terms:
        for passage, gain in _gains(term, passages).items():
            scores[passage] = scores.get(passage, 0.0) + gain
    _add_chapter_bonus(scores, terms, passages)
    best = sorted(scores, key=lambda passage: (-scores[passage], passage))
    candidates = best[: max(limit, CLOSE_CANDIDATES)]
    for passage in candidates:
        scores[passage] += CLOSE_WEIGHT * _closeness(passage, terms, len(passages.words))
    candidates.sort(key=lambda passage: (-scores[passage], passage))
    return [(passage, scores[passage]) for passage in candidates[:limit]]


def _rarity(holding: int, total: int) -> float:
    return math.log(1 + (total - holding + 0.5) / (holding + 0.5))


def _gains(term: Term, passages: PassageTable) -> dict[int, float]:
    """What a term adds to each passage that holds it or stands near one that does."""
    total = len(passages.words)
    weight = term.weight * _rarity(len(term.positions), total)
    own = {}
    for passage, positions in term.positions.items():
        relative = passages.words[passage - 1] / passages.average_words
        length = 1 - LENGTH_WEIGHT + LENGTH_WEIGHT * relative
        count = len(positions)
        own[passage] = weight * count * (TERM_SATURATION + 1) / (count + TERM_SATURATION * length)
    gains = dict(own)
    for passage, gain in own.items():
        for distance, share in NEARBY:
            for neighbour in (passage - distance, passage + distance):
                if (
                    1 <= neighbour <= total
                    and passages.chapters[neighbour - 1] == passages.chapters[passage - 1]
                ):
                    gains[neighbour] = max(gains.get(neighbour, 0.0), share * gain)
    return gains


def _add_chapter_bonus(
    scores: dict[int, float], terms: Sequence[Term], passages: PassageTable
) -> None:
    number = len(set(passages.chapters))
    bonus: dict[int, float] = {}
    for term in terms:
        chapters = {passages.chapters[passage - 1] for passage in term.positions}
        for chapter in chapters:
            rarity = math.log(number / len(chapters))
            bonus[chapter] = bonus.get(chapter, 0.0) + CHAPTER_WEIGHT * term.weight * rarity
    for passage in scores:
        scores[passage] += bonus.get(passages.chapters[passage - 1], 0.0)


def _closeness(passage: int, terms: Sequence[Term], total: int) -> float:
    """The rarity of the different terms in the best stretch of CLOSE_WORDS words."""
    places = sorted(
        (position, index)
        for index, term in enumerate(terms)
        if term.weight == 1
        for position in term.positions.get(passage, ())
    )
    rarities = [_rarity(len(term.positions), total) for term in terms]
    return max((sum(rarities[index] for index in near) for near in _stretches(places)), default=0.0)


def _stretches(places: list[tuple[int, int]]) -> Iterator[set[int]]:
    """The different terms in each stretch that begins with a term."""
    for first, (start, _) in enumerate(places):
        near = set()
        for position, index in places[first:]:
            if position - start > CLOSE_WORDS:
                break
            near.add(index)
        yield near
