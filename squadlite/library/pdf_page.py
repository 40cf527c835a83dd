"""The pages of a PDF as its file has them: pieces of lines at places."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Piece:
    """
    A line, or the part of one before a gap. Places are in points, `baseline` grows downwards.

    Attributes:
        text: what it says, at least one character.
        left, right: where its characters begin and end.
        baseline: the height that they stand on.
        size: that of the font.
        bold: whether all of it is.
    """

    text: str
    left: float
    right: float
    baseline: float
    size: float
    bold: bool


@dataclass(frozen=True)
class Page:
    """A page: what it calls itself, and its lines as the file orders them."""

    label: str
    pieces: tuple[Piece, ...]


def body_size(pages: Iterable[Page]) -> float:
    """The size that most characters have, which is the text's."""
    sizes: Counter[float] = Counter()
    for page in pages:
        for piece in page.pieces:
            sizes[rounded_size(piece.size)] += len(piece.text)
    return max(sizes.most_common(1)[0][0], 1.0) if sizes else 1.0


def rounded_size(size: float) -> float:
    """The size to half a point: what differs by less is the same to a reader."""
    return round(size * 2) / 2
