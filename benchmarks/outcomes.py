"""What a question over a book came to, and what many of them come to: the rows of a table."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.tables import percent
from squadlite.answering.metrics import exact_match
from squadlite.asking import DEFAULT_PASSAGES, Reply
from tools.measures import (
    RIGHT_F1,
    area_under_curve,
    best_f1,
    calibration_error,
    contains_answer,
    risk_coverage,
)
from tools.questions import Question

RECALL_DEPTHS = tuple(sorted({5, 20, DEFAULT_PASSAGES}))
HIT_DEPTH = 5
ORACLE_ANSWERS = 40


@dataclass(frozen=True)
class Outcome:
    """
    What one question came to.

    Attributes:
        question: what was asked.
        reply: what was answered.
        seconds: how long that took.
        evidence_rank: 1 is first; None: not retrieved, or nothing to retrieve.
        oracle_f1: the best token F1 among ORACLE_ANSWERS answers; 0 without a gold answer.
    """

    question: Question
    reply: Reply
    seconds: float
    evidence_rank: int | None
    oracle_f1: float

    @property
    def is_answered(self) -> bool:
        """Whether the reply is an answer, not "the book doesn't say"."""
        return self.reply.answer is not None

    @property
    def exact(self) -> bool:
        """Whether the first answer, given or not, is a gold one."""
        return any(
            exact_match(gold, answer.text)
            for answer in self.reply.answers[:1]
            for gold in self.question.answers
        )

    @property
    def f1(self) -> float:
        """The token F1 of the first answer, given or not; 0 without a gold answer."""
        return best_f1([answer.text for answer in self.reply.answers[:1]], self.question.answers)

    @property
    def is_right(self) -> bool:
        """Whether the first answer, given or not, is near enough to a gold one."""
        return self.f1 >= RIGHT_F1

    @property
    def is_hit(self) -> bool:
        """Whether one of the first answers has the words of a gold one."""
        return any(
            contains_answer(answer.text, gold)
            for answer in self.reply.answers[:HIT_DEPTH]
            for gold in self.question.answers
        )

    @property
    def f1_of_reply(self) -> float:
        """The F1 of what is really said, "the book doesn't say" being an answer too."""
        if self.question.answers:
            return self.f1 if self.is_answered else 0.0
        return float(not self.is_answered)


def summarize(
    name: str, outcomes: Sequence[Outcome], index_seconds: float | None
) -> dict[str, Any]:
    """
    A row of the table: heading -> value.

    Args:
        name: what the row is about.
        outcomes: its questions, at least one.
        index_seconds: of its books; None for questions picked from them.

    Returns:
        What has no value here, for want of answerable or of unanswerable questions, is None.
    """
    answerable = [outcome for outcome in outcomes if outcome.question.answers]
    unanswerable = [outcome for outcome in outcomes if not outcome.question.answers]
    ranks = [outcome.evidence_rank for outcome in answerable]
    scores = [outcome.reply.score for outcome in outcomes]
    right = [outcome.is_right for outcome in outcomes]
    seconds = [outcome.seconds for outcome in outcomes]
    recall = {
        f"recall@{depth}": percent(rank is not None and rank <= depth for rank in ranks)
        for depth in RECALL_DEPTHS
    }
    return {
        "book": name,
        "questions": len(outcomes),
        **recall,
        "EM": percent(outcome.exact for outcome in answerable),
        "F1": percent(outcome.f1 for outcome in answerable),
        f"hit@{HIT_DEPTH}": percent(outcome.is_hit for outcome in answerable),
        "oracle F1": percent(outcome.oracle_f1 for outcome in answerable),
        "F1 all": percent(outcome.f1_of_reply for outcome in outcomes),
        "AUC": _rounded(area_under_curve(scores, right)),
        "ECE": _rounded(calibration_error(scores, right)),
        "says so": percent(outcome.is_answered for outcome in answerable),
        "no-answer": percent(not outcome.is_answered for outcome in unanswerable),
        "read": round(statistics.fmean(outcome.reply.passages_read for outcome in outcomes), 1),
        "median s": _rounded(statistics.median(seconds)),
        "p95 s": _rounded(float(np.percentile(seconds, 95))),
        "index s": _rounded(index_seconds),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def summarize_curve(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """
    The risk-coverage curve of some questions, as benchmarks/risk_coverage.py draws it.

    Returns:
        coverage, right: the curve's points, shares 0..1; threshold: its point where the answers
        given are those that the replies give, None where they give none.
    """
    coverage, right = risk_coverage(
        [outcome.reply.score for outcome in outcomes], [outcome.is_right for outcome in outcomes]
    )
    given = [outcome.is_right for outcome in outcomes if outcome.is_answered]
    return {
        "coverage": coverage.round(4).tolist(),
        "right": right.round(4).tolist(),
        "threshold": [
            round(len(given) / len(outcomes), 4),
            round(statistics.fmean(given), 4),
        ]
        if given
        else None,
    }
