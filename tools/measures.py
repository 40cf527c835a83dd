"""What is counted of answers and their scores, as functions of plain numbers and texts."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from squadlite.answering.metrics import normalize_answer, token_f1

# An answer is right where it shares half of its words with a gold one, as SQuAD's F1 counts.
RIGHT_F1 = 0.5
CALIBRATION_BINS = 10


def best_f1(answers: Iterable[str], gold: Sequence[str]) -> float:
    """The best token F1, 0..1, that any of the answers has with any gold answer; 0 without."""
    return max((token_f1(text, answer) for answer in answers for text in gold), default=0.0)


def contains_answer(answer: str, gold: str) -> bool:
    """Whether the gold answer's words stand in the answer, one after the other."""
    words, gold_words = (normalize_answer(text) for text in (answer, gold))
    return bool(gold_words) and f" {gold_words} " in f" {words} "


def area_under_curve(scores: ArrayLike, right: ArrayLike) -> float | None:
    """
    How well scores tell right from wrong: the area under the ROC curve.

    It is the share of pairs of a right and a wrong one in which the right one has the higher
    score, a tie being half. None where all are right, or none.

    Args:
        scores: (n,) numbers.
        right: (n,) truth values.

    Source: Hanley & McNeil 1982, by the sum of ranks (Mann & Whitney 1947).
    """
    is_right = np.asarray(right, dtype=bool)
    n_right, n_wrong = np.count_nonzero(is_right), np.count_nonzero(~is_right)
    if n_right == 0 or n_wrong == 0:
        return None
    _, values, counts = np.unique(np.asarray(scores), return_inverse=True, return_counts=True)
    # Scores that tie share the mean of the ranks that they take up.
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[values]
    n_pairs_in_order = ranks[is_right].sum() - n_right * (n_right + 1) / 2
    return float(n_pairs_in_order / (n_right * n_wrong))


def calibration_error(scores: ArrayLike, right: ArrayLike) -> float:
    """
    How far scores are from being probabilities: the expected calibration error, 0..1.

    Scores fall into ten bins of equal width. Of each bin it takes the distance between the mean
    score and the share that is right, and weighs it by how many scores are in the bin.

    Args:
        scores: (n,) numbers in 0..1, at least one.
        right: (n,) truth values.

    Source: Naeini, Cooper & Hauskrecht 2015.
    """
    values = np.asarray(scores, dtype=np.float64)
    inner_edges = np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS
    gaps = np.bincount(
        np.digitize(values, inner_edges),
        weights=values - np.asarray(right, dtype=np.float64),
        minlength=CALIBRATION_BINS,
    )
    return float(np.abs(gaps).sum() / len(values))


def risk_coverage(
    scores: ArrayLike, right: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    What is gained by giving only the answers that are surest, at every threshold.

    Args:
        scores: (n,) numbers, at least one.
        right: (n,) truth values.

    Returns:
        For each score that occurs, from the highest: the share of all that score as much at
        least (the coverage), and the share of these that is right (one minus the risk).

    Source: El-Yaniv & Wiener 2010.
    """
    values = np.asarray(scores, dtype=np.float64)
    order = np.argsort(-values, kind="stable")
    n_right = np.cumsum(np.asarray(right, dtype=np.float64)[order])
    # Answers that tie are given together or not at all.
    last_of_its_score = np.append(np.diff(values[order]) != 0, True)
    n_given = np.arange(1, len(values) + 1)[last_of_its_score]
    return n_given / len(values), n_right[last_of_its_score] / n_given
