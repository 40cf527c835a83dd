"""
A model that chooses among the candidates of each question, or none of them.

Candidate i of a question has the score s_i = features_i . weights + bias, none of them the score 0,
and the chance of each choice is its share of the exponentials: the conditional logit model.

Source: McFadden 1974, "Conditional logit analysis of qualitative choice behavior"; several choices
may be right, and the likelihood of a question is the chance of any of them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

_MAX_STEPS = 100
_TOLERANCE = 1e-8
_SMALLEST_STEP = 2.0**-20


@dataclass(frozen=True)
class Choices:
    """
    The N candidates of Q questions, those of a question side by side.

    Attributes:
        features: (N, F).
        counts: (Q,) how many candidates each question has, each at least 1.
        is_right: (N,) which may be chosen. Where none may, none is right.
    """

    features: Floats
    counts: NDArray[np.int64]
    is_right: NDArray[np.bool_]


def fit_weights(choices: Choices, *, ridge: float) -> tuple[Floats, float]:
    """
    Find the weights of the highest likelihood, by Newton steps that are halved where they lead up.

    Args:
        choices: what was to choose from, and what was right.
        ridge: penalty on the squares of the bias and of the weights of standardized features,
            above 0.

    Returns:
        (F,) weights, and the bias. The same choices give the same numbers.
    """
    mean, scale = choices.features.mean(axis=0), choices.features.std(axis=0)
    scale[scale == 0] = 1.0  # a feature that never varies gets the weight 0
    objective = _Objective(choices, (choices.features - mean) / scale, ridge)
    weights = np.zeros(len(mean) + 1)
    loss = objective.loss(weights)
    for _ in range(_MAX_STEPS):
        step = objective.step(weights)
        size = 1.0
        while (nearer := objective.loss(weights - size * step)) > loss and size > _SMALLEST_STEP:
            size /= 2
        weights, loss = weights - size * step, nearer
        if np.abs(size * step).max() < _TOLERANCE:
            break
    raw = weights[:-1] / scale
    return raw, float(weights[-1] - mean @ raw)


class _Objective:
    """What is made small: the negative logarithm of the likelihood, and the penalty."""

    def __init__(self, choices: Choices, standardized: Floats, ridge: float) -> None:
        self._design = np.column_stack([standardized, np.ones(len(standardized))])  # (N, F + 1)
        self._firsts = np.cumsum(choices.counts) - choices.counts
        self._counts = choices.counts
        self._is_right = choices.is_right
        self._none_is_right = self._sums(choices.is_right.astype(float)) == 0
        self._ridge = ridge

    def loss(self, weights: Floats) -> float:
        everything, right, none = self._exponentials(weights)
        likelihoods = np.where(self._none_is_right, none, self._sums(right))
        with np.errstate(divide="ignore"):  # what is all but impossible costs infinitely much
            total = np.log(none + self._sums(everything)) - np.log(likelihoods)
        return float(total.sum() + 0.5 * self._ridge * (weights**2).sum())

    def step(self, weights: Floats) -> Floats:
        """The Newton step; where the likelihood isn't curved, one that is surely short enough."""
        everything, right, none = self._exponentials(weights)
        chances = everything / self._spread(none + self._sums(everything))
        wanted = right / self._spread(np.where(self._none_is_right, 1.0, self._sums(right)))
        gradient = self._design.T @ (chances - wanted) + self._ridge * weights
        bound = self._covariance(chances) + self._ridge * np.eye(len(weights))
        try:
            curvature = bound - self._covariance(wanted)
            np.linalg.cholesky(curvature)
        except np.linalg.LinAlgError:
            curvature = bound
        return np.linalg.solve(curvature, gradient)

    def _exponentials(self, weights: Floats) -> tuple[Floats, Floats, Floats]:
        scores = self._design @ weights
        highest = np.maximum(np.maximum.reduceat(scores, self._firsts), 0.0)
        everything = np.exp(scores - self._spread(highest))
        return everything, everything * self._is_right, np.exp(-highest)

    def _covariance(self, chances: Floats) -> Floats:
        # Summed over the questions, each with none of its candidates as one more choice of zeros.
        means = np.add.reduceat(chances[:, None] * self._design, self._firsts, axis=0)
        squares = (self._design.T * chances) @ self._design
        covariance: Floats = squares - means.T @ means
        return covariance

    def _sums(self, values: Floats) -> Floats:
        sums: Floats = np.add.reduceat(values, self._firsts)
        return sums

    def _spread(self, values: Floats) -> Floats:
        return np.repeat(values, self._counts)
