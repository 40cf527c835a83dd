"""Whether runtimes give the same answers: a fast wrong one doesn't count."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from squadlite.answering.metrics import squad_scores
from squadlite.answering.squad import load_squad

# Question id -> the best span's text, and the null score less that span's logits.
Predictions = Mapping[str, tuple[str, float]]


@dataclass(frozen=True)
class Answers:
    """
    How a runtime answered.

    Args:
        questions: how many were asked.
        agreement: the share, 0..1, that got the reference's answer, "no answer" being one; None
            without a reference.
        exact, f1: SQuAD's scores on these questions at threshold 0, 0..100.
    """

    questions: int
    agreement: float | None
    exact: float
    f1: float


def compare(
    predictions: Mapping[str, Predictions], data: Path, *, reference: str
) -> dict[str, Answers]:
    """
    Score what runtimes answered, and count where they agree with one of them.

    Args:
        predictions: runtime -> its answers, all to the same questions, at least one.
        data: the SQuAD file that the questions are from.
        reference: the runtime that the others are compared with, if it is among them.
    """
    examples = load_squad(data)
    expected = _texts(predictions[reference]) if reference in predictions else None
    compared = {}
    for name, answers in predictions.items():
        texts = _texts(answers)
        asked = [example for example in examples if example.id in answers]
        scores = squad_scores(
            asked,
            {question: span for question, (span, _) in answers.items()},
            {question: null_score_diff for question, (_, null_score_diff) in answers.items()},
        )
        agreeing = None
        if expected is not None:
            agreeing = sum(texts[question] == text for question, text in expected.items())
        compared[name] = Answers(
            questions=len(answers),
            agreement=None if agreeing is None else agreeing / len(answers),
            exact=scores["exact"],
            f1=scores["f1"],
        )
    return compared


def _texts(answers: Predictions) -> dict[str, str]:
    return {question: span if diff <= 0 else "" for question, (span, diff) in answers.items()}
