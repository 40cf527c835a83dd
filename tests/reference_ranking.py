"""
Ranking as one would write it down first, with loops and dicts: the measure of the fast one.

Sums are taken in the same order, so that the scores agree to the last bit.
"""

import math
from collections.abc import Sequence

from squadlite.library.ranking import (
    CHAPTER_WEIGHT,
    CLOSE_CANDIDATES,
    CLOSE_WEIGHT,
    CLOSE_WORDS,
    LENGTH_WEIGHT,
    NEARBY,
    TERM_SATURATION,
)

# For each passage that holds a term, where: counted in words from the passage's begin.
Positions = dict[int, list[int]]


def rank_slowly(
    terms: Sequence[tuple[float, Positions]],
    chapters: Sequence[int],
    words: Sequence[int],
    *,
    limit: int,
) -> list[tuple[int, float]]:
    """What `rank_passages` must return for terms of this weight at these positions."""
    scores: dict[int, float] = {}
    for weight, positions in terms:
        for passage, gain in gains(weight, positions, chapters, words).items():
            scores[passage] = scores.get(passage, 0.0) + gain
    bonus = chapter_bonus(terms, chapters)
    for passage in scores:
        scores[passage] += bonus.get(chapters[passage], 0.0)
    best = sorted(scores, key=lambda passage: (-scores[passage], passage))
    candidates = best[: max(limit, CLOSE_CANDIDATES)]
    for passage in candidates:
        scores[passage] += CLOSE_WEIGHT * closeness(passage, terms, len(words))
    candidates.sort(key=lambda passage: (-scores[passage], passage))
    return [(passage, scores[passage]) for passage in candidates[:limit]]


def rarity(holding: int, total: int) -> float:
    return math.log(1 + (total - holding + 0.5) / (holding + 0.5))


def gains(
    weight: float, positions: Positions, chapters: Sequence[int], words: Sequence[int]
) -> dict[int, float]:
    own = {}
    for passage, places in positions.items():
        relative = words[passage] / (sum(words) / len(words))
        length = 1 - LENGTH_WEIGHT + LENGTH_WEIGHT * relative
        most = weight * rarity(len(positions), len(words)) * len(places) * (TERM_SATURATION + 1)
        own[passage] = most / (len(places) + TERM_SATURATION * length)
    found = dict(own)
    for passage, gain in own.items():
        for distance, share in NEARBY:
            for neighbour in (passage - distance, passage + distance):
                if 0 <= neighbour < len(words) and chapters[neighbour] == chapters[passage]:
                    found[neighbour] = max(found.get(neighbour, 0.0), share * gain)
    return found


def chapter_bonus(
    terms: Sequence[tuple[float, Positions]], chapters: Sequence[int]
) -> dict[int, float]:
    bonus: dict[int, float] = {}
    for weight, positions in terms:
        holding = {chapters[passage] for passage in positions}
        for chapter in holding:
            telling = math.log(len(set(chapters)) / len(holding))
            bonus[chapter] = bonus.get(chapter, 0.0) + CHAPTER_WEIGHT * weight * telling
    return bonus


def closeness(passage: int, terms: Sequence[tuple[float, Positions]], total: int) -> float:
    places = sorted(
        (position, index)
        for index, (weight, positions) in enumerate(terms)
        if weight == 1
        for position in positions.get(passage, ())
    )
    rarities = [rarity(len(positions), total) for _, positions in terms]
    best = 0.0
    for first, (start, _) in enumerate(places):
        near = {index for position, index in places[first:] if position - start <= CLOSE_WORDS}
        worth = 0.0
        for index in sorted(near):
            worth += rarities[index]
        best = max(best, worth)
    return best
