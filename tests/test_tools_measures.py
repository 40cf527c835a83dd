"""What the benchmark over books counts is what its definitions say, worked out one by one."""

from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.measures import (
    CALIBRATION_BINS,
    area_under_curve,
    best_f1,
    calibration_error,
    contains_answer,
    risk_coverage,
)

# Few values tie often; the tenths are the edges of bins.
SCORES = st.one_of(st.floats(0, 1), st.integers(0, 10).map(lambda tenths: tenths / 10))
SCORED = st.lists(st.tuples(SCORES, st.booleans()), min_size=1, max_size=40)
Scored = list[tuple[float, bool]]


def columns(scored: Scored) -> tuple[list[float], list[bool]]:
    return [score for score, _ in scored], [right for _, right in scored]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


@given(SCORED)
def test_the_area_is_the_share_of_pairs_in_order(scored: Scored) -> None:
    right = [score for score, is_right in scored if is_right]
    wrong = [score for score, is_right in scored if not is_right]
    pairs = [(high > low) + (high == low) / 2 for high, low in product(right, wrong)]
    area = area_under_curve(*columns(scored))
    assert area == (pytest.approx(mean(pairs)) if pairs else None)


@given(SCORED)
def test_the_area_depends_on_the_order_of_scores_alone(scored: Scored) -> None:
    scores, right = columns(scored)
    ranks = {score: rank for rank, score in enumerate(sorted(set(scores)))}
    assert area_under_curve([ranks[score] for score in scores], right) == area_under_curve(
        scores, right
    )


@given(SCORED)
def test_the_calibration_error_is_the_weighed_distance_of_the_bins(scored: Scored) -> None:
    edges = [step / CALIBRATION_BINS for step in range(CALIBRATION_BINS)] + [np.inf]
    error = 0.0
    for low, high in pairwise(edges):
        inside = [(score, right) for score, right in scored if low <= score < high]
        if inside:
            scores, right = columns(inside)
            error += len(inside) / len(scored) * abs(mean(scores) - mean(right))
    assert calibration_error(*columns(scored)) == pytest.approx(error)
    assert 0 <= error <= 1


def test_scores_that_are_the_share_of_right_answers_are_calibrated() -> None:
    scores = [0.25] * 4 + [0.75] * 4
    right = [True, False, False, False, True, True, True, False]
    assert calibration_error(scores, right) == 0
    assert calibration_error([1.0, 1.0], [False, False]) == 1


@given(SCORED)
def test_the_curve_has_what_each_threshold_gives(scored: Scored) -> None:
    coverage, right_share = risk_coverage(*columns(scored))
    thresholds = sorted({score for score, _ in scored}, reverse=True)
    assert len(coverage) == len(right_share) == len(thresholds)
    for threshold, covered, share in zip(thresholds, coverage, right_share, strict=True):
        given_answers = [right for score, right in scored if score >= threshold]
        assert covered == pytest.approx(len(given_answers) / len(scored))
        assert share == pytest.approx(mean(given_answers))


@given(SCORED)
def test_the_curve_ends_where_everything_is_answered(scored: Scored) -> None:
    coverage, right_share = risk_coverage(*columns(scored))
    assert np.all(np.diff(coverage) > 0)
    assert coverage[-1] == 1
    assert right_share[-1] == pytest.approx(mean([right for _, right in scored]))


def test_the_best_answer_counts_against_the_nearest_gold_one() -> None:
    assert best_f1(["the red boat", "a boat"], ["boat", "ship"]) == 1
    assert best_f1(["red boat"], ["boat"]) == pytest.approx(2 / 3)
    assert best_f1([], ["boat"]) == 0
    assert best_f1(["boat"], []) == 0


@pytest.mark.parametrize(
    ("answer", "gold", "contained"),
    [
        ("The salt, Rusk said", "salt", True),
        ("a song about the sea", "Song about a sea!", True),
        ("songs", "song", False),
        ("the sea", "the", False),
        ("", "song", False),
    ],
)
def test_an_answer_contains_another_word_by_word(answer: str, gold: str, contained: bool) -> None:
    assert contains_answer(answer, gold) is contained
