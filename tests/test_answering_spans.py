import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from squadlite.answering.spans import (
    SCORE_TEMPERATURE,
    Reading,
    Span,
    TokenSpan,
    best_token_spans,
    make_reading,
    span_score,
)
from squadlite.answering.tokenizer import TokenizedText

# Few different values, so that there are ties.
LOGITS = st.integers(-4, 4).map(lambda quarter: quarter / 4)


@st.composite
def logits_and_masks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 12)))
    logits = arrays.arrays(np.float32, shape, elements=LOGITS)
    return draw(logits), draw(logits), draw(arrays.arrays(np.bool_, shape))


def greedy(
    starts: list[float], ends: list[float], mask: list[bool], n_best: int, max_answer_length: int
) -> list[TokenSpan]:
    """One pair of tokens after the other."""
    candidates = [
        TokenSpan(first, last, starts[first] + ends[last])
        for first in range(len(starts))
        for last in range(first, min(first + max_answer_length, len(ends)))
        if mask[first] and mask[last]
    ]
    candidates.sort(key=lambda span: (-span.logit, span.first, span.last))
    chosen: list[TokenSpan] = []
    for span in candidates:
        if all(span.last < other.first or span.first > other.last for other in chosen):
            chosen.append(span)
    return chosen[:n_best]


@given(logits_and_masks(), st.integers(1, 14), st.integers(1, 15))
def test_finds_what_a_search_of_all_pairs_finds(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray], n_best: int, max_answer_length: int
) -> None:
    found = best_token_spans(*drawn, n_best=n_best, max_answer_length=max_answer_length)
    expected = [
        greedy(starts, ends, mask, n_best, max_answer_length)
        for starts, ends, mask in zip(*(part.tolist() for part in drawn), strict=True)
    ]
    assert found == expected


def test_no_more_spans_than_asked_for_and_none_outside_the_context() -> None:
    logits = np.zeros((2, 6), dtype=np.float32)
    mask = np.array([[False, False, True, True, True, False], [False] * 6])
    full, empty = best_token_spans(logits, logits, mask, n_best=2, max_answer_length=30)
    assert full == [TokenSpan(2, 2, 0.0), TokenSpan(3, 3, 0.0)]
    assert empty == []


def tokens_of(context: str, pieces: Sequence[str]) -> TokenizedText:
    """The tokens of a context from its pieces in order; "##" marks what continues a word."""
    offsets, position = [], 0
    for piece in pieces:
        text = piece.removeprefix("##")
        start = context.index(text, position)
        position = start + len(text)
        offsets.append((start, position))
    return TokenizedText(
        ids=np.zeros(len(pieces), dtype=np.int64),
        offsets=np.array(offsets, dtype=np.int64).reshape(-1, 2),
        continues=np.array([piece.startswith("##") for piece in pieces]),
    )


TOKEN_SPANS = st.builds(
    lambda first, length, logit: TokenSpan(first, first + length, logit),
    st.integers(0, 5),
    st.integers(0, 3),
    LOGITS,
)


@given(st.lists(TOKEN_SPANS), LOGITS, st.integers(1, 9))
def test_answers_are_verbatim_ranked_and_apart(
    candidates: list[TokenSpan], null_score: float, n_best: int
) -> None:
    context = "one two  three\nfour five six seven eight nine"
    reading = make_reading(
        context, tokens_of(context, context.split()), candidates, null_score, n_best
    )
    assert len(reading.spans) <= n_best
    for span in reading.spans:
        assert context[span.start : span.end] == span.text == span.text.strip() != ""
        assert 0 < span.score < 1
    margins = [span.margin for span in reading.spans]
    assert margins == sorted(margins, reverse=True)
    in_place = sorted(reading.spans, key=lambda span: span.start)
    assert all(a.end <= b.start for a, b in pairwise(in_place))
    if candidates:
        assert margins[0] == max(span.logit for span in candidates) - null_score
        assert reading.null_score_diff == -margins[0]


def test_the_same_span_from_two_windows_is_one_answer() -> None:
    candidates = [TokenSpan(1, 1, 2.0), TokenSpan(1, 1, 3.0), TokenSpan(0, 1, 1.0)]
    reading = make_reading("red hair", tokens_of("red hair", ["red", "hair"]), candidates, 1.0, 5)
    assert [(span.text, span.margin) for span in reading.spans] == [("hair", 2.0)]


def test_an_accent_at_the_end_belongs_to_the_answer() -> None:
    context = "the cafe\u0301 there"
    tokens = tokens_of(context, ["the", "cafe", "there"])
    (span,) = make_reading(context, tokens, [TokenSpan(1, 1, 0.0)], 0.0, 1).spans
    assert span.text == "cafe\u0301"


@pytest.mark.parametrize(
    ("first", "last", "answer"),
    [(0, 0, "nineteen"), (1, 1, "nineteen"), (2, 2, "silver"), (1, 2, "nineteen silver")],
)
def test_an_answer_that_ends_inside_a_word_takes_all_of_it(
    first: int, last: int, answer: str
) -> None:
    context = "nineteen silver marks"
    tokens = tokens_of(context, ["ninetee", "##n", "silver", "mark", "##s"])
    (span,) = make_reading(context, tokens, [TokenSpan(first, last, 1.0)], 0.0, 5).spans
    assert (span.text, context[span.start : span.end]) == (answer, answer)


@pytest.mark.parametrize(
    ("pieces", "first", "last", "answer"),
    [
        ("Marit ’ s father came", 2, 3, "Marit’s father"),
        ("Marit ’ s father came", 1, 3, "Marit’s father"),
        ("Marit ’ s father came", 3, 3, "father"),
        ("the fo ’ c ’ s ’ le deck", 7, 8, "fo’c’s’le deck"),
    ],
)
def test_an_answer_that_begins_behind_a_words_apostrophe_takes_the_word(
    pieces: str, first: int, last: int, answer: str
) -> None:
    context = pieces.replace(" ’ ", "’")
    candidate = TokenSpan(first, last, 1.0)
    (span,) = make_reading(context, tokens_of(context, pieces.split()), [candidate], 0.0, 5).spans
    assert (span.text, context[span.start : span.end]) == (answer, answer)


def test_a_row_of_apostrophes_without_end_is_no_error() -> None:
    context = "a’" * 5000 + "a"
    tokens = tokens_of(context, " ".join(context).split())
    last = len(tokens.ids) - 1
    (span,) = make_reading(context, tokens, [TokenSpan(last, last, 1.0)], 0.0, 5).spans
    assert context[span.start : span.end] == span.text


@pytest.mark.parametrize("context", ["the boys' own", "he said ’tis", "’s own", "the 'own'"])
def test_an_apostrophe_that_is_not_inside_a_word_takes_nothing(context: str) -> None:
    pieces = context.replace("'", " ' ").replace("’", " ’ ").split()
    tokens, last = tokens_of(context, pieces), len(pieces) - 1 - (pieces[-1] == "'")
    (span,) = make_reading(context, tokens, [TokenSpan(last, last, 1.0)], 0.0, 5).spans
    assert span.text == pieces[last]


def test_two_pieces_of_one_word_are_one_answer() -> None:
    context = "three marks"
    candidates = [TokenSpan(1, 1, 2.0), TokenSpan(2, 2, 3.0)]
    tokens = tokens_of(context, ["three", "mark", "##s"])
    reading = make_reading(context, tokens, candidates, 0.0, 5)
    assert [(span.text, span.margin) for span in reading.spans] == [("marks", 3.0)]


def reading_with_margin(margin: float) -> Reading:
    return Reading((Span("x", 0, 1, span_score(margin), margin),), 0.0)


@pytest.mark.parametrize(
    ("margin", "threshold", "answers"),
    [(0.1, 0.0, True), (0.0, 0.0, True), (-0.1, 0.0, False), (-1.0, 1.0, True), (0.5, -1.0, False)],
)
def test_no_answer_where_null_is_ahead_by_more_than_the_threshold(
    margin: float, threshold: float, answers: bool
) -> None:
    assert (reading_with_margin(margin).answer(threshold) is not None) == answers


@pytest.mark.parametrize("threshold", [0.0, 1e9])
def test_nothing_read_is_no_answer(threshold: float) -> None:
    assert Reading((), 0.0).answer(threshold) is None
    assert Reading((), 0.0).null_score_diff == math.inf


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_the_score_rises_with_the_margin_from_0_to_1(low: float, high: float) -> None:
    low, high = sorted((low, high))
    assert 0 <= span_score(low) <= span_score(high) <= 1


def test_the_score_is_a_half_at_threshold_0() -> None:
    assert span_score(0.0) == 0.5
    assert span_score(2.0) == pytest.approx(1 / (1 + math.exp(-2.0 / SCORE_TEMPERATURE)))
