"""What each passage is about: a vector of one byte a number, compared by cosine."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from squadlite.progress import Progress

Floats = NDArray[np.float32]

VECTORS_TABLE = "CREATE TABLE vectors (model TEXT, width INTEGER, codes BLOB, scales BLOB)"
SCALE = np.dtype("<f4")

_TOP_CODE = 127
# At a time, so that a library of many books doesn't take four times the memory of its codes.
_PASSAGES_AT_A_TIME = 4096


class TextEmbedder(Protocol):
    """A model whose vectors say how much texts are about the same."""

    @property
    def digest(self) -> str:
        """Names the model: vectors of another one can't be compared with its own."""

    @property
    def weight(self) -> float:
        """What a cosine of 1 is worth in a search beside a bm25 score of 12."""

    def embed(self, texts: Sequence[str], *, progress: Progress | None = None) -> Floats:
        """
        Embed N texts.

        Args:
            texts: of any length.
            progress: called with the texts embedded and their total.

        Returns:
            (N, width) float32, each row of length 1.
        """


@dataclass(frozen=True)
class PassageVectors:
    """
    The vectors of P passages: codes[i] * scales[i] is that of passage i.

    Attributes:
        model: the digest of the model that made them.
        codes: (P, width) int8.
        scales: (P,) float32.
    """

    model: str
    codes: NDArray[np.int8]
    scales: Floats

    @classmethod
    def quantize(cls, model: str, vectors: Floats) -> Self:
        """
        Round (P, width) vectors to 255 steps over the range of each.

        *Error bound*: half a step, 1/254 of the vector's largest number, for each number.
        """
        scales = np.abs(vectors).max(axis=1, initial=np.finfo(np.float32).tiny) / _TOP_CODE
        codes = np.rint(vectors / scales[:, None]).astype(np.int8)
        return cls(model, codes, scales.astype(np.float32))

    def replaced(self, first: int, others: Self) -> Self:
        """These vectors with all from the first one on replaced by others of the same model."""
        return type(self)(
            self.model,
            np.concatenate([self.codes[:first], others.codes]),
            np.concatenate([self.scales[:first], others.scales]),
        )

    def cosines(self, vector: Floats) -> Floats:
        """(P,) the cosine of each passage's vector and a (width,) one of length 1."""
        products = [
            part.astype(np.float32) @ vector
            for part in np.split(
                self.codes, range(_PASSAGES_AT_A_TIME, len(self.codes), _PASSAGES_AT_A_TIME)
            )
        ]
        return np.concatenate(products) * self.scales


def read_vectors(index: sqlite3.Connection) -> PassageVectors | None:
    """The vectors that an index holds; None where it holds none."""
    row = index.execute("SELECT model, width, codes, scales FROM vectors").fetchone()
    if row is None:
        return None
    model, width, codes, scales = row
    return PassageVectors(
        model, np.frombuffer(codes, np.int8).reshape(-1, width), np.frombuffer(scales, SCALE)
    )


def write_vectors(index: sqlite3.Connection, vectors: PassageVectors) -> None:
    """Put vectors into an index in the place of those that it holds."""
    index.execute("DELETE FROM vectors")
    index.execute(
        "INSERT INTO vectors VALUES (?, ?, ?, ?)",
        (
            vectors.model,
            vectors.codes.shape[1],
            vectors.codes.tobytes(),
            vectors.scales.astype(SCALE).tobytes(),
        ),
    )
    index.commit()
