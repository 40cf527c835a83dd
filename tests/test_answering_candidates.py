import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squadlite.answering.candidates import (
    FEATURES,
    Candidate,
    describe,
    fold_answer,
    number_answers,
)
from squadlite.answering.spans import Span

PASSAGE = "Dolly lived in Raveloe, where the weaver's houses stood. " + "And so on. " * 30 + "Gold."


def candidate(text: str, margin: float = 1.0, *, rank: int = 1) -> Candidate:
    start = PASSAGE.index(text)
    span = Span(text, start, start + len(text), 0.5, margin)
    return Candidate(span, PASSAGE, rank, relevance=0.75, cosine=0.25)


def measured(
    question: str, content_words: list[str], *candidates: Candidate
) -> list[dict[str, float]]:
    rows = describe(question, content_words, candidates)
    return [dict(zip(FEATURES, row, strict=True)) for row in rows.tolist()]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("the Rector", "A rector,"),
        ("Mr. Lammeter", "“mr Lammeter”"),
        ("the weaver’s gold", "weaver's   gold"),
        ("mid-day", "midday"),
        ("dinner—he", "dinner he"),
        ("the", " The! "),
    ],
)
def test_case_articles_and_punctuation_make_no_other_answer(one: str, other: str) -> None:
    assert fold_answer(one) == fold_answer(other)


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold_answer(fold_answer(text)) == fold_answer(text)


def test_answers_are_numbered_as_they_come() -> None:
    found = [candidate(text) for text in ("Raveloe", "houses", "Raveloe,", "Gold")]
    assert number_answers(found).tolist() == [0, 1, 0, 2]
    assert number_answers([]).shape == (0,)


def test_every_feature_is_what_the_format_says() -> None:
    first, second, third = measured(
        "Where does Dolly live?",
        ["dolly", "live"],
        candidate("Raveloe", 2.0, rank=3),
        candidate("in Raveloe", 1.0),
        candidate("Raveloe,", 0.5),
    )
    everything = math.log(1 + math.exp(2.0) + math.exp(1.0) + math.exp(0.5))
    assert first == pytest.approx(
        {
            "margin": 2.0,
            "log_share": 2.0 - everything,
            "relevance": 0.75,
            "log_rank": math.log(3),
            "cosine": 0.25,
            "log_places": math.log(2),
            "log_length": 0.0,
            "question_in_passage": 0.5,  # "live" is not told from "lived" by five letters alone
            "question_nearby": 0.5,
            "answer_in_question": 0.0,
            "fits_shape": 1.0,
            "misses_shape": 0.0,
        }
    )
    assert second["log_length"] == pytest.approx(math.log(2))
    assert second["log_places"] == 0.0
    assert third["log_places"] == pytest.approx(math.log(2))


def test_words_are_compared_by_their_first_five_letters() -> None:
    (found,) = measured("Whose house?", ["housekeeper", "weaves"], candidate("Raveloe"))
    assert found["question_in_passage"] == 1.0


def test_only_words_near_the_answer_are_nearby() -> None:
    near, far = measured("?", ["raveloe"], candidate("Dolly"), candidate("Gold"))
    assert (near["question_nearby"], far["question_nearby"]) == (1.0, 0.0)
    assert near["question_in_passage"] == far["question_in_passage"] == 1.0


def test_an_answer_that_repeats_the_question_is_known() -> None:
    (found,) = measured("What did Dolly do?", ["dolly"], candidate("Dolly lived"))
    assert found["answer_in_question"] == 0.5


def test_a_question_without_shape_is_neither_fitted_nor_missed() -> None:
    (what,) = measured("What?", [], candidate("Gold"))
    (many,) = measured("How many?", [], candidate("Gold"))
    assert (what["fits_shape"], what["misses_shape"]) == (0.0, 0.0)
    assert (many["fits_shape"], many["misses_shape"]) == (0.0, 1.0)


@given(
    st.text(),
    st.lists(st.text()),
    st.lists(
        st.tuples(st.text(min_size=1), st.floats(-1e30, 1e30), st.integers(1, 50)), max_size=8
    ),
)
def test_whatever_is_described_is_finite(
    question: str, words: list[str], found: list[tuple[str, float, int]]
) -> None:
    candidates = [
        Candidate(Span(text, 0, len(text), 0.5, margin), text, rank, 1.0, 0.0)
        for text, margin, rank in found
    ]
    features = describe(question, words, candidates)
    assert features.shape == (len(found), len(FEATURES))
    assert np.isfinite(features).all()
