"""What two models answer to the same questions, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from squadlite.answering.evaluate import EvaluationResult, evaluate
from squadlite.answering.reader import Reader
from squadlite.answering.scorer import Scorer, load_scorer
from squadlite.answering.squad import SquadExample
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.config import Compute, ModelConfig
from squadlite.progress import Progress

# A window's token ids, as bytes -> its start and end logits, (2, T).
WindowLogits = Mapping[bytes, NDArray[np.float32]]


@dataclass(frozen=True)
class Predictions:
    """
    What a model made of a dataset.

    Args:
        result: its answers and scores.
        logits: of every window that it read.
    """

    result: EvaluationResult
    logits: WindowLogits


@dataclass(frozen=True)
class Agreement:
    """
    How far two models answer alike.

    Args:
        n_questions: asked.
        same_answers: share of them, 0..1, that got the same text from both, or none from both.
        same_decisions: share that both answered, or neither.
        divergence: the Kullback-Leibler divergence, in nats, of b's distribution over the tokens
            from a's, that of the start and that of the end together, mean over the windows; None
            where the models cut other windows.
    """

    n_questions: int
    same_answers: float
    same_decisions: float
    divergence: float | None


def predict(
    model: str | Path,
    examples: Sequence[SquadExample],
    *,
    limit: int | None = None,
    threads: int | None = None,
    compute: Compute = "f32",
    progress: Progress | None = None,
) -> Predictions:
    """
    Let a model answer a dataset's questions, at threshold 0.

    Args:
        model: a .sqz file.
        examples, limit, progress: as for `evaluate`.
        threads, compute: as for `Reader.load`.

    Raises:
        FormatError, ConfigError, TokenizerError, ComputeError: as of `Reader.load`.
    """
    scorer = _Recorder(load_scorer(model, compute))
    reader = Reader(scorer, Tokenizer(TokenizerSpec.load(model)), threads=threads)
    result = evaluate(reader, examples, limit=limit, progress=progress)
    return Predictions(result, scorer.logits)


def agreement(a: Predictions, b: Predictions) -> Agreement:
    """Compare what two models made of the same questions."""
    texts = [(text, b.result.predictions[key]) for key, text in a.result.predictions.items()]
    return Agreement(
        n_questions=len(texts),
        same_answers=sum(first == second for first, second in texts) / len(texts),
        same_decisions=sum(bool(first) == bool(second) for first, second in texts) / len(texts),
        divergence=_divergence(a.logits, b.logits),
    )


class _Recorder:
    # A scorer that keeps what it said of each window.

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self.logits: dict[bytes, NDArray[np.float32]] = {}

    @property
    def config(self) -> ModelConfig:
        return self._scorer.config

    @property
    def word_embeddings(self) -> NDArray[np.float32]:
        return self._scorer.word_embeddings

    def __call__(
        self,
        input_ids: NDArray[np.int64],
        token_type_ids: NDArray[np.int64],
        attention_mask: NDArray[np.bool_],
        *,
        threads: int,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits = self._scorer(input_ids, token_type_ids, attention_mask, threads=threads)
        for ids, mask, *both in zip(input_ids, attention_mask, *logits, strict=True):
            self.logits[ids[mask].tobytes()] = np.stack([part[mask] for part in both])
        return logits


def _divergence(a: WindowLogits, b: WindowLogits) -> float | None:
    if not a or a.keys() != b.keys():
        return None
    divergences = []
    for window, logits in a.items():
        log_p, log_q = _log_softmax(logits), _log_softmax(b[window])
        divergences.append(float((np.exp(log_p) * (log_p - log_q)).sum()))
    return sum(divergences) / len(divergences)


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    # (2, T)
    shifted: NDArray[np.float64] = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted
