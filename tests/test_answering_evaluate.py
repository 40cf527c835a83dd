from typing import Any

import pytest

from squadlite.answering.evaluate import evaluate, spread
from squadlite.answering.metrics import squad_scores
from squadlite.answering.spans import Reading, Span
from squadlite.answering.squad import GoldAnswer, SquadExample


def make(number: int, gold: str = "") -> SquadExample:
    answers = (GoldAnswer(gold, 0),) if gold else ()
    return SquadExample(f"q{number}", f"question {number}", f"context {number}", answers, "")


class FakeReader:
    """Answers each question with its number; the higher the number, the less sure it is."""

    def __init__(self) -> None:
        self.pairs: list[tuple[str, str]] = []

    def read_pairs(self, pairs: Any, *, n_best: int, progress: Any) -> list[Reading]:
        assert n_best == 1
        self.pairs = list(pairs)
        if progress is not None:
            progress(len(pairs), len(pairs))
        return [self.read(question.split()[-1]) for question, _ in pairs]

    def read(self, number: str) -> Reading:
        if number == "9":
            return Reading((), 0.0)
        return Reading((Span(number, 0, 1, 0.5, 3.0 - float(number)),), 0.0)


def run(examples: list[SquadExample], **settings: Any) -> Any:
    return evaluate(FakeReader(), examples, **settings)  # type: ignore[arg-type]


def test_predictions_follow_the_threshold_and_the_scores_the_predictions() -> None:
    examples = [make(1, "1"), make(2, "x"), make(5), make(6, "6"), make(9)]
    result = run(examples, threshold=2.5)
    assert result.predictions == {"q1": "1", "q2": "2", "q5": "5", "q6": "", "q9": ""}
    assert result.best_spans == {"q1": "1", "q2": "2", "q5": "5", "q6": "6", "q9": ""}
    assert result.null_score_diffs["q6"] == 3.0
    assert result.scores == squad_scores(
        examples, result.best_spans, result.null_score_diffs, threshold=2.5
    )
    assert result.scores["exact"] == 40
    # The predictions alone give the same, as the official script would score them.
    never = dict.fromkeys(result.predictions, -1.0)
    assert squad_scores(examples, result.predictions, never)["f1"] == result.scores["f1"]


def test_every_question_goes_with_its_own_context() -> None:
    reader = FakeReader()
    told: list[tuple[int, int]] = []
    evaluate(
        reader,  # type: ignore[arg-type]
        [make(1), make(2)],
        progress=lambda done, total: told.append((done, total)),
    )
    assert reader.pairs == [("question 1", "context 1"), ("question 2", "context 2")]
    assert told == [(2, 2)]


@pytest.mark.parametrize(("limit", "kept"), [(1, "0"), (3, "036"), (9, "012345678"), (10, None)])
def test_a_limit_is_spread_over_the_dataset(limit: int, kept: str | None) -> None:
    examples = [make(number) for number in range(10)]
    expected = examples if kept is None else [make(int(number)) for number in kept]
    assert list(spread(examples, limit)) == expected
    assert list(spread(examples, None)) == examples


def test_no_questions_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="limit is 0"):
        run([make(1)], limit=0)
    with pytest.raises(ValueError, match="no examples"):
        run([])
