"""
The official SQuAD 2.0 scores.

Source: Rajpurkar et al. 2016 and 2018 and the behaviour of their script evaluate-v2.0.py, whose
names the results carry.
"""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from squadlite.answering.squad import SquadExample

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLE = re.compile(r"\b(a|an|the)\b")


def normalize_answer(text: str) -> str:
    """Lower-case, then drop ASCII punctuation, English articles and superfluous white space."""
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(gold: str, predicted: str) -> float:
    """1.0 where both are the same after normalizing, else 0.0."""
    return float(normalize_answer(gold) == normalize_answer(predicted))


def token_f1(gold: str, predicted: str) -> float:
    """
    Harmonic mean of precision and recall of the predicted words as a bag, 0..1.

    Where either is empty after normalizing, 1.0 if both are.
    """
    gold_words = normalize_answer(gold).split()
    predicted_words = normalize_answer(predicted).split()
    if not gold_words or not predicted_words:
        return float(gold_words == predicted_words)
    n_common = sum((Counter(gold_words) & Counter(predicted_words)).values())
    if n_common == 0:
        return 0.0
    precision, recall = n_common / len(predicted_words), n_common / len(gold_words)
    return 2 * precision * recall / (precision + recall)


def squad_scores(
    examples: Sequence[SquadExample],
    predictions: Mapping[str, str],
    null_score_diffs: Mapping[str, float],
    *,
    threshold: float = 0.0,
) -> dict[str, float]:
    """
    Score predictions as the official script does with its file of no-answer odds.

    Args:
        examples: the questions, at least one.
        predictions: id -> the best answer in the context, or "" for none.
        null_score_diffs: id -> `Reading.null_score_diff` (the script's na_prob): the higher, the
            surer that there is no answer.
        threshold: a question whose difference is above it is taken as answered by "".

    Returns:
        exact, f1 and total; the same as HasAns_* and NoAns_* over the questions with and without
        an answer, where there are any; best_exact and best_f1, what the best threshold would
        give, with best_exact_thresh and best_f1_thresh. Scores are percentages.

    Raises:
        ValueError: no examples, or a question without prediction or difference.
    """
    if not examples:
        raise ValueError("no examples to score")
    for example in examples:
        if example.id not in predictions or example.id not in null_score_diffs:
            raise ValueError(f"question {example.id!r} has no prediction or no null_score_diff")
    raw = np.array([_best_over_gold(example, predictions[example.id]) for example in examples])
    diffs = np.array([null_score_diffs[example.id] for example in examples], dtype=np.float64)
    has_answer = np.array([example.has_answer for example in examples])
    says_none = np.array([not predictions[example.id] for example in examples])
    scores = np.where((diffs > threshold)[:, None], ~has_answer[:, None], raw)  # (n, 2)

    result = _means(scores, "")
    if has_answer.any():
        result |= _means(scores[has_answer], "HasAns_")
    if not has_answer.all():
        result |= _means(scores[~has_answer], "NoAns_")
    for column, name in enumerate(("exact", "f1")):
        best, best_threshold = _best_threshold(raw[:, column], diffs, has_answer, says_none)
        result |= {f"best_{name}": best, f"best_{name}_thresh": best_threshold}
    return result


def _best_over_gold(example: SquadExample, predicted: str) -> tuple[float, float]:
    # An answer of nothing but articles and punctuation is as good as none.
    gold = [answer.text for answer in example.answers if normalize_answer(answer.text)] or [""]
    return (
        max(exact_match(text, predicted) for text in gold),
        max(token_f1(text, predicted) for text in gold),
    )


def _means(scores: NDArray[np.float64], prefix: str) -> dict[str, float]:
    exact, f1 = (100.0 * scores.mean(axis=0)).tolist()
    return {f"{prefix}exact": exact, f"{prefix}f1": f1, f"{prefix}total": len(scores)}


def _best_threshold(
    scores: NDArray[np.float64],
    diffs: NDArray[np.float64],
    has_answer: NDArray[np.bool_],
    says_none: NDArray[np.bool_],
) -> tuple[float, float]:
    # From "no answer" everywhere, let the questions answer one by one, the surest first, and keep
    # the point where the total was highest. Questions of the same difference still come one by
    # one, in order: the script does it so, and 0.0 is its threshold for no answer at all.
    order = np.argsort(diffs, kind="stable")
    gains = np.where(has_answer, scores, np.where(says_none, 0.0, -1.0))[order]
    totals = np.cumsum(np.concatenate([[np.count_nonzero(~has_answer)], gains]))
    best = int(totals.argmax())
    threshold = 0.0 if best == 0 else float(diffs[order[best - 1]])
    return 100.0 * float(totals[best]) / len(scores), threshold
