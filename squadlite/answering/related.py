"""Words that mean nearly the same, by the model's own word embeddings."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Chosen with the ranking's other weights on the questions of benchmarks/books.py and FairytaleQA.
NEIGHBOURS = 10
MIN_SIMILARITY = 0.3
WEIGHT = 0.4
_MIN_LETTERS = 3
_BLOCK = 512  # words whose directions stay in the cache, and that one thread multiplies


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
        self._embeddings = embeddings
        self._rows = np.array(
            [
                row
                for row, piece in enumerate(vocab)
                if len(piece) >= _MIN_LETTERS and piece.isalpha()
            ],
            dtype=np.intp,
        )
        self._words = [vocab[row] for row in self._rows]
        self._places = {word: place for place, word in enumerate(self._words)}
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
        known = [self._places[word] for word in words if word in self._places]
        weights: dict[str, float] = {}
        for similar in self._similarities(known):
            likely = np.flatnonzero(similar >= MIN_SIMILARITY)
            nearest = likely[np.argsort(-similar[likely], kind="stable")[: NEIGHBOURS + 1]]
            for place in nearest.tolist():
                word, weight = self._words[place], WEIGHT * min(float(similar[place]), 1.0)
                weights[word] = max(weights.get(word, 0.0), weight)
        return {word: weight for word, weight in weights.items() if word not in words}

    def _similarities(self, known: Sequence[int]) -> NDArray[np.float32]:
        """(known, words), a block of words at a time, so that nothing as large as all is made."""
        similarities = np.empty((len(known), len(self._words)), dtype=np.float32)
        if known:
            directions = self._directions(self._rows[known])
            for first in range(0, len(self._words), _BLOCK):
                block = slice(first, first + _BLOCK)
                similarities[:, block] = directions @ self._directions(self._rows[block]).T
        return similarities

    def _directions(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        directions: NDArray[np.float32] = self._embeddings[rows]
        directions -= self._mean
        norms = np.linalg.norm(directions, axis=1, keepdims=True)
        directions /= np.maximum(norms, np.finfo(np.float32).tiny)
        return directions
