"""Words that mean nearly the same, by the model's own word embeddings."""

from collections.abc import Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

# Chosen with the ranking's other weights on the questions of benchmarks/books.py and FairytaleQA.
NEIGHBOURS = 10
MIN_SIMILARITY = 0.3
WEIGHT = 0.4
_MIN_LETTERS = 3
# In a product that BLAS leaves to one thread. Others, once awake, spin for 50 ms and take that time
# from the reading.
_MULTIPLY_ADDS = 400_000
_TINY = np.finfo(np.float32).tiny
_ROUNDING = 1e-6  # of an embedding's square: what differs less from the mean has no direction


class RelatedWords:
    """
    Finds the words of a vocabulary whose embeddings lie nearest.

    A book says "apothecary" where a question says "druggist"; the model has learned that they are
    alike, and a search that knows it too finds passages that share no word with the question.

    Args:
        vocab: what the V pieces spell; those that are whole words of letters can be found.
        embeddings: (V, hidden) float32.
    """

    def __init__(self, vocab: Sequence[str], embeddings: NDArray[np.float32]) -> None:
        self._vocab = vocab
        self._embeddings = embeddings
        # All embeddings share a direction that says nothing of meaning.
        self._mean = embeddings.mean(axis=0)

    def of(self, words: Sequence[str]) -> dict[str, float]:
        """
        The words related to some words.

        Args:
            words: in the vocabulary's case; those that it doesn't know have no relations.

        Returns:
            Related word -> weight in 0..1, for a search; none of `words` themselves.
        """
        known = [row for word in words if (row := self._row(word)) is not None]
        weights: dict[str, float] = {}
        for similar in self._similarities(known):
            likely = np.flatnonzero(similar >= MIN_SIMILARITY)
            nearest = likely[np.argsort(-similar[likely], kind="stable")]
            whole = (row for row in nearest.tolist() if _is_word(self._vocab[row]))
            for row in islice(whole, NEIGHBOURS + 1):
                word, weight = self._vocab[row], WEIGHT * min(float(similar[row]), 1.0)
                weights[word] = max(weights.get(word, 0.0), weight)
        return {word: weight for word, weight in weights.items() if word not in words}

    def _row(self, word: str) -> int | None:
        if not _is_word(word):
            return None
        try:
            return self._vocab.index(word)
        except ValueError:
            return None

    def _similarities(self, known: Sequence[int]) -> NDArray[np.float32]:
        """(known, V) cosines of what embeddings have beyond their mean."""
        embeddings, mean = self._embeddings, self._mean
        similarities = np.empty((len(known), len(embeddings)), dtype=np.float32)
        if not known:
            return similarities
        directions = embeddings[known] - mean
        directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), _TINY)
        # The mean is taken off products, not embeddings, of which no copy is made so.
        probes = np.concatenate([directions, mean[None]])
        of_mean = probes @ mean
        n_rows = max(1, _MULTIPLY_ADDS // probes.size)
        for first in range(0, len(embeddings), n_rows):
            block = embeddings[first : first + n_rows]
            *along, along_mean = probes @ block.T
            whole = np.einsum("ij,ij->i", block, block)
            squares = whole - 2 * along_mean + of_mean[-1]
            norms = np.sqrt(np.maximum(squares, _ROUNDING * whole + _TINY))
            similarities[:, first : first + n_rows] = (along - of_mean[:-1, None]) / norms
        return similarities


def _is_word(piece: str) -> bool:
    return len(piece) >= _MIN_LETTERS and piece.isalpha()
