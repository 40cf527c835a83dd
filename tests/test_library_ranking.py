"""Ranking: what makes one passage better than another."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from squadlite.library.ranking import (
    BM25_UNIT,
    CLOSE_CANDIDATES,
    CLOSE_WORDS,
    PassageTable,
    Term,
    rank_by_both,
    rank_passages,
)
from tests.reference_ranking import Positions, rank_slowly

LENGTH = 150


def table(*chapters: int) -> PassageTable:
    return table_of(chapters, [LENGTH] * len(chapters))


def table_of(chapters: Sequence[int], words: Sequence[int]) -> PassageTable:
    return PassageTable(
        np.array(chapters, np.uint32), np.array(words, np.uint32), np.cumsum([0, *words])
    )


def term(weight: float, positions: Mapping[int, Sequence[int]], length: int = LENGTH) -> Term:
    """A term at these positions of passages that are `length` words long."""
    places = [length * passage + at for passage in sorted(positions) for at in positions[passage]]
    return Term(weight, np.array(places, np.uint32))


def order(terms: list[Term], passages: PassageTable, limit: int = 10) -> list[int]:
    return [passage for passage, _ in rank_passages(terms, passages, limit=limit)]


def test_a_rare_term_weighs_more_than_a_common_one() -> None:
    rare = term(1.0, {9: [0]})
    common = term(1.0, {1: [0], 3: [0], 5: [0], 7: [0]})
    assert order([rare, common], table(*range(10)))[0] == 9


def test_more_of_the_terms_is_better_than_more_of_one() -> None:
    first = term(1.0, {2: [0, 50, 100], 8: [0]})
    second = term(1.0, {8: [100], 4: [0]})
    assert order([first, second], table(*[0] * 10))[0] == 8


def test_terms_close_together_are_better_than_far_apart() -> None:
    first = term(1.0, {2: [0], 8: [0]})
    second = term(1.0, {2: [CLOSE_WORDS + 1], 8: [CLOSE_WORDS]})
    assert order([first, second], table(*[0] * 10))[:2] == [8, 2]


def test_terms_of_neighbouring_passages_are_not_close() -> None:
    first = term(1.0, {2: [LENGTH - 1], 6: [0]})
    second = term(1.0, {3: [0], 6: [CLOSE_WORDS]})
    assert order([first, second], table(*range(10)))[0] == 6


def test_a_passage_beside_one_with_a_term_is_found_but_not_across_chapters() -> None:
    name = term(1.0, {2: [0]})
    assert order([name], table(0, 0, 0, 1, 1, 1)) == [2, 1, 0]


def test_a_term_elsewhere_in_the_chapter_counts() -> None:
    name = term(1.0, {1: [0]})
    thing = term(1.0, {7: [0], 14: [0]})
    passages = table(*[0] * 10, *[1] * 10)
    assert order([name, thing], passages, limit=20).index(7) < order(
        [name, thing], passages, limit=20
    ).index(14)


def test_a_related_word_counts_by_its_weight() -> None:
    asked, related = term(1.0, {2: [0]}), term(0.4, {8: [0]})
    assert order([asked, related], table(*[0] * 10))[0] == 2
    assert 8 in order([asked, related], table(*[0] * 10))


def test_no_more_than_the_limit_and_the_same_every_time() -> None:
    same = term(1.0, {number: [0] for number in range(1, 30)})
    ranked = rank_passages([same], table(*[0] * 40), limit=5)
    assert len(ranked) == 5
    assert ranked == rank_passages([same], table(*[0] * 40), limit=5)
    assert [score for _, score in ranked] == sorted((score for _, score in ranked), reverse=True)


def test_without_terms_nothing_is_found() -> None:
    assert rank_passages([], table(0, 0), limit=5) == []
    assert rank_passages([], table(), limit=5) == []


# More passages than are looked at for closeness.
MANY = 2 * CLOSE_CANDIDATES


@st.composite
def queries(
    draw: st.DrawFn,
) -> tuple[list[int], list[int], list[tuple[float, Positions]]]:
    number = draw(st.integers(1, 12) | st.just(MANY))
    breaks = draw(st.lists(st.integers(0, 2), min_size=number, max_size=number))
    chapters = np.cumsum(breaks).tolist()
    words = draw(st.lists(st.integers(1, 60), min_size=number, max_size=number))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    terms = []
    for weight in draw(st.lists(st.sampled_from([1.0, 1.0, 0.4, 0.123, 0.0]), max_size=6)):
        share = draw(st.sampled_from([0.02, 0.2, 0.9]))
        held = np.flatnonzero(random.random(number) < share).tolist() or [0]
        positions = {
            passage: sorted(
                random.choice(words[passage], random.integers(1, words[passage] + 1), replace=False)
            )
            for passage in held
        }
        terms.append((weight, positions))
    return chapters, words, terms


@given(queries(), st.integers(1, 2 * MANY))
def test_the_ranking_is_the_slow_one(
    query: tuple[list[int], list[int], list[tuple[float, Positions]]], limit: int
) -> None:
    chapters, words, terms = query
    passages = table_of(chapters, words)
    arrays = [
        Term(
            weight,
            np.array([passages.places[p] + at for p, found in positions.items() for at in found]),
        )
        for weight, positions in terms
    ]
    assert rank_passages(arrays, passages, limit=limit) == rank_slowly(
        terms, chapters, words, limit=limit
    )


@settings(deadline=None)
@given(queries(), st.integers(1, 2 * MANY), st.sampled_from([0.0, 0.5, 3.0]))
def test_joined_scores_are_those_of_words_and_vectors(
    query: tuple[list[int], list[int], list[tuple[float, Positions]]], limit: int, weight: float
) -> None:
    chapters, words, terms = query
    passages = table_of(chapters, words)
    arrays = [
        Term(
            weight_of_term,
            np.array([passages.places[p] + at for p, found in positions.items() for at in found]),
        )
        for weight_of_term, positions in terms
    ]
    cosines = np.random.default_rng(0).uniform(-1, 1, len(words)).astype(np.float32)
    bm25 = dict(rank_passages(arrays, passages, limit=limit))
    found = rank_by_both(arrays, passages, cosines, weight=weight, limit=limit)
    assert len(found) == min(limit, len(words))
    for one in found:
        assert one.cosine == cosines[one.passage]
        assert one.score == pytest.approx(one.bm25 / BM25_UNIT + weight * one.cosine, abs=1e-5)
        assert one.bm25 == bm25.get(one.passage, one.bm25)
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)


def test_vectors_find_what_no_term_does() -> None:
    passages = table(*range(4))
    cosines = np.array([0.1, 0.0, 0.9, 0.2], np.float32)
    found = rank_by_both([], passages, cosines, weight=1.0, limit=2)
    assert [one.passage for one in found] == [2, 3]
    words_alone = rank_by_both([term(1.0, {1: [0]})], passages, cosines, weight=0.0, limit=1)
    assert [one.passage for one in words_alone] == [1]
    assert rank_by_both([], table(), cosines[:0], weight=1.0, limit=3) == []
