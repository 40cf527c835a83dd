"""
How sure a reader is of each answer to a question, over all that was read for it.

    MarginRule  the margin alone, and how promising the passage is: for a model that says nothing
    ChoiceModel a conditional logit model over all candidates and "none of them", fitted to
                questions over books; its numbers ride in the .sqz file's metadata

Source: McFadden 1974, "Conditional logit analysis of qualitative choice behavior"; Platt 1999,
"Probabilistic outputs for support vector machines", for the calibration.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from squadlite.answering.candidates import FEATURES, Candidate
from squadlite.answering.metadata import METADATA_FILE, load_metadata
from squadlite.answering.origin import Source, opened
from squadlite.answering.spans import SCORE_TEMPERATURE
from squadlite.errors import CheckpointError, HeaderError

METADATA_MEMBER = "answering"

# docs/answers.md, "Reading no further": of 430 answers as sure as that after four passages one was
# another one after 30, and of 520 after eight one.
_FEW_PASSAGES = 5
_SURE_OF_FEW, _SURE = 0.7, 0.6

# How much an answer's margin is lowered, in logits, from the most promising passage to one of no
# promise at all. On benchmarks/books.py 3 to 7 serve alike, and 5 F1 better than 0.
RELEVANCE_WEIGHT = 5.0

_MEMBERS = ("weights", "bias", "slope", "intercept", "threshold")
_LARGEST = 1e6
_NEAREST_TO_CERTAIN = 1e-9

Floats = NDArray[np.float64]
_Number = TypeVar("_Number", float, NDArray[np.float64])


class Confidence(Protocol):
    """What turns the candidates of a question into scores of its answers."""

    @property
    def threshold(self) -> float:
        """0..1: the book says an answer only where its score is above this."""

    def sure(self, passages: int) -> float:
        """
        0..1: above this an answer all but always stays the first one, whatever else is read.

        Args:
            passages: how many have been read.
        """

    def place_scores(self, features: Floats) -> Floats:
        """
        Compare candidates.

        Args:
            features: (n, len(FEATURES)) of all candidates of one question; see `describe`.

        Returns:
            (n,) the higher, the better.
        """

    def answer_scores(self, features: Floats, answers: NDArray[np.int64]) -> Floats:
        """
        Say how sure each distinct answer is.

        Args:
            features: as for `place_scores`.
            answers: (n,) the number of the answer that each candidate gives, 0..m-1.

        Returns:
            (m,) each in 0..1.
        """


class MarginRule:
    """
    The best place's margin, less for an unpromising passage, as `span_score` scales it.

    The model prefers the answer to none where it is above the threshold, which stands for SQuAD's
    null_score_diff_threshold 0.
    """

    threshold = 0.5

    def sure(self, passages: int) -> float:
        """Never: it has no regard for how many passages were read."""
        return 1.0

    def place_scores(self, features: Floats) -> Floats:
        """(n,) 0..1; see `Confidence`."""
        margin, relevance = (features[:, FEATURES.index(name)] for name in ("margin", "relevance"))
        return _sigmoid(_lowered(margin, relevance) / SCORE_TEMPERATURE)

    def answer_scores(self, features: Floats, answers: NDArray[np.int64]) -> Floats:
        """(m,) 0..1; see `Confidence`."""
        scores = np.zeros(answers.max(initial=-1) + 1)
        np.maximum.at(scores, answers, self.place_scores(features))
        return scores


@dataclass(frozen=True)
class ChoiceModel:
    """
    The chance that each answer is the one to choose, calibrated.

    A candidate's utility is its features times the weights, and the bias; "none of them" has the
    utility 0. The chance of each is its share of the exponentials, an answer's the sum over its
    places. The log odds of that are scaled and shifted to what they are worth for first answers.

    Args:
        weights: feature -> weight; a feature that isn't named has none.
        bias: of every candidate.
        slope, intercept: of the calibration; slope is above 0.
        threshold: 0..1.

    Raises:
        ValueError: a name that is no feature, or a number out of range.
    """

    weights: Mapping[str, float]
    bias: float
    slope: float
    intercept: float
    threshold: float

    def __post_init__(self) -> None:
        for name in self.weights:
            if name not in FEATURES:
                raise ValueError(f"weights: found {name!r}, expected one of {', '.join(FEATURES)}")
        numbers = {name: getattr(self, name) for name in _MEMBERS if name != "weights"}
        for name, value in {**self.weights, **numbers}.items():
            if not abs(value) <= _LARGEST:
                raise ValueError(f"{name}: found {value}, expected at most {_LARGEST:g} in size")
        if self.slope <= 0:
            raise ValueError(f"slope: found {self.slope}, expected above 0")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold: found {self.threshold}, expected 0..1")

    @classmethod
    def from_metadata(cls, value: Any) -> Self:
        """
        Read what a .sqz file says (format_spec.md, "answering").

        Raises:
            HeaderError: it breaks a rule.
        """
        if not isinstance(value, dict) or value.keys() != set(_MEMBERS):
            raise HeaderError(
                f"metadata: {METADATA_MEMBER}: found {_shown(value)}, "
                f"expected an object of {', '.join(_MEMBERS)}"
            )
        weights = value["weights"]
        if not isinstance(weights, dict):
            raise HeaderError(
                f"metadata: {METADATA_MEMBER}: weights: found {_shown(weights)}, expected an object"
            )
        for name, number in {**value, **weights}.items():
            if name != "weights" and type(number) not in {int, float}:
                raise HeaderError(
                    f"metadata: {METADATA_MEMBER}: {name}: found {_shown(number)}, "
                    "expected a number"
                )
        try:
            return cls(**value)
        except ValueError as error:
            raise HeaderError(f"metadata: {METADATA_MEMBER}: {error}") from None

    def to_metadata(self) -> dict[str, Any]:
        """What a .sqz file says."""
        return {**vars(self), "weights": dict(self.weights)}

    def sure(self, passages: int) -> float:
        """0..1; see `Confidence`."""
        return _SURE_OF_FEW if passages <= _FEW_PASSAGES else _SURE

    def place_scores(self, features: Floats) -> Floats:
        """(n,) the utilities, any size; see `Confidence`."""
        weights = np.array([self.weights.get(name, 0.0) for name in FEATURES])
        utilities: Floats = features @ weights + self.bias
        return utilities

    def answer_scores(self, features: Floats, answers: NDArray[np.int64]) -> Floats:
        """(m,) 0..1; see `Confidence`."""
        return self.calibrated(self.log_odds(features, answers))

    def log_odds(self, features: Floats, answers: NDArray[np.int64]) -> Floats:
        """(m,) of each answer's chance, before calibration."""
        utilities = self.place_scores(features)
        highest = utilities.max(initial=0.0)
        exponentials = np.exp(utilities - highest)
        chances = np.bincount(answers, exponentials) / (exponentials.sum() + np.exp(-highest))
        chances = np.clip(chances, _NEAREST_TO_CERTAIN, 1.0 - _NEAREST_TO_CERTAIN)
        odds: Floats = np.log(chances) - np.log1p(-chances)
        return odds

    def calibrated(self, log_odds: Floats) -> Floats:
        """0..1, what log odds from `log_odds` are worth; the shape stays."""
        return _sigmoid(self.slope * log_odds + self.intercept)


def load_confidence(source: Source) -> Confidence:
    """
    Load what a model says of its answers.

    Args:
        source: a .sqz file or a checkpoint folder.

    Returns:
        The ChoiceModel in its metadata, or the MarginRule where there is none.

    Raises:
        FormatError: a .sqz file that breaks the format, or whose `answering` does.
        CheckpointError: a folder's squadlite.json does.
    """
    with opened(source) as model:
        metadata = load_metadata(model)
        if METADATA_MEMBER not in metadata:
            return MarginRule()
        try:
            return ChoiceModel.from_metadata(metadata[METADATA_MEMBER])
        except HeaderError as error:
            if isinstance(model, Path):
                raise CheckpointError(f"{model / METADATA_FILE}: {error}") from error
            raise HeaderError(f"{model.path}: {error}") from error


def relevant_margin(candidate: Candidate) -> float:
    """A candidate's margin, lowered by RELEVANCE_WEIGHT for a passage of no promise at all."""
    return _lowered(candidate.span.margin, candidate.relevance)


def _lowered(margin: _Number, relevance: _Number) -> _Number:
    return margin - RELEVANCE_WEIGHT * (1.0 - relevance)


def _sigmoid(values: Floats) -> Floats:
    # By tanh, which doesn't overflow.
    return 0.5 * (1.0 + np.tanh(0.5 * values))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
