"""A reader over a SQuAD dataset."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from squadlite.answering.metrics import squad_scores
from squadlite.answering.squad import SquadExample
from squadlite.progress import Progress

if TYPE_CHECKING:
    from squadlite.answering.reader import Reader

Item = TypeVar("Item")


@dataclass(frozen=True)
class EvaluationResult:
    """
    What a reader made of a dataset.

    Args:
        scores: `squad_scores` at `threshold`.
        predictions: id -> answer, "" for none: what the official script takes as predictions.
        best_spans: id -> the best answer, threshold or not.
        null_score_diffs: id -> null score less the best span's logits.
        threshold: the null_score_diff above which a question got no answer.
    """

    scores: dict[str, float]
    predictions: dict[str, str]
    best_spans: dict[str, str]
    null_score_diffs: dict[str, float]
    threshold: float


def evaluate(
    reader: "Reader",
    examples: Sequence[SquadExample],
    *,
    limit: int | None = None,
    threshold: float = 0.0,
    progress: Progress | None = None,
) -> EvaluationResult:
    """
    Let a reader answer a dataset's questions and score it.

    Args:
        reader: any reader.
        examples: as from `load_squad`.
        limit: take this many questions only, spread evenly over the dataset, so that a few
            hundred tell about all of it; None: all.
        threshold: see `EvaluationResult`.
        progress: called with the windows read and their total, now and then.

    Raises:
        ValueError: no examples, or a limit below 1.
    """
    examples = spread(examples, limit)
    pairs = [(example.question, example.context) for example in examples]
    readings = reader.read_pairs(pairs, n_best=1, progress=progress)
    best_spans, predictions, diffs = {}, {}, {}
    for example, reading in zip(examples, readings, strict=True):
        answer = reading.answer(threshold)
        best_spans[example.id] = reading.spans[0].text if reading.spans else ""
        predictions[example.id] = answer.text if answer else ""
        diffs[example.id] = reading.null_score_diff
    scores = squad_scores(examples, best_spans, diffs, threshold=threshold)
    return EvaluationResult(scores, predictions, best_spans, diffs, threshold)


def spread(items: Sequence[Item], limit: int | None) -> Sequence[Item]:
    """At most `limit` items, evenly spread over all of them and in order; None: all."""
    if limit is None or limit >= len(items):
        return items
    if limit < 1:
        raise ValueError(f"limit is {limit}, expected at least 1")
    return [items[i * len(items) // limit] for i in range(limit)]
