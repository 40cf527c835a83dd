"""Words that mean nearly the same, by the model's own word embeddings."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Chosen with the ranking's other weights on the questions of benchmarks/books.py and FairytaleQA.
NEIGHBOURS = 10
MIN_SIMILARITY = 0.3
WEIGHT = 0.4
_MIN_LETTERS = 3


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
        rows = [
            row for row, piece in enumerate(vocab) if piece.isalpha() and len(piece) >= _MIN_LETTERS
        ]
        self._words = [vocab[row] for row in rows]
        self._rows = {word: row for row, word in enumerate(self._words)}
        # All embeddings share a direction that says nothing of meaning.
        centred = embeddings[rows] - embeddings.mean(axis=0)
        norms = np.linalg.norm(centred, axis=1, keepdims=True)
        self._directions = centred / np.maximum(norms, np.finfo(np.float32).tiny)  # (words, hidden)

    def of(self, words: Sequence[str]) -> dict[str, float]:
        """
        The words related to some words.

        Args:
            words: in the vocabulary's case; those that it doesn't know have no relations.

        Returns:
            Related word -> weight in 0..1, for a search; none of `words` themselves.
        """
        rows = [self._rows[word] for word in words if word in self._rows]
        similarities = self._directions[rows] @ self._directions.T  # (known words, words)
        weights: dict[str, float] = {}
        for similar in similarities:
            nearest = np.argsort(-similar, kind="stable")[: NEIGHBOURS + 1]
            for row in nearest[similar[nearest] >= MIN_SIMILARITY].tolist():
                word, weight = self._words[row], WEIGHT * min(float(similar[row]), 1.0)
                weights[word] = max(weights.get(word, 0.0), weight)
        return {word: weight for word, weight in weights.items() if word not in words}
