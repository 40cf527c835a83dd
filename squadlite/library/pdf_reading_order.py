"""The reading order of a PDF page: pieces put together to lines, column after column."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf
from statistics import median

from squadlite.library.pdf_page import Page, Piece

# A line begins so far from its column's border if it is indented, in sizes of the font.
INDENT = 0.7
# Pieces whose baselines are less apart than this stand on one line, in sizes of the font.
_SAME_LINE = 0.4
# A gap between columns, in sizes of the font, and what a column must have on either side.
_GUTTER = 0.8
_MIN_COLUMN_LINES = 4
_MIN_COLUMN_WORDS = 3
_MIN_COLUMN_FILL = 0.5
# The share of a page's pieces that may go across such a gap.
_MAX_CROSSING = 0.3
_MAX_GAPS = 20
# Beyond this a page is a map or a table, not columns of prose.
_MAX_COLUMN_PIECES = 2_000
# What goes across the gaps is in no column.
_ACROSS = -1
# The first letter of a chapter, as high as several lines.
_MAX_INITIAL = 2
_INITIAL_SHARE = 1.8
_MAX_INITIALS = 4
# What a sentence ends with, or what announces another paragraph.
_ENDS = (
    *(stop + quote for stop in (".", "!", "?", "…") for quote in ("", *"”’\"')")),
    *(":", ":—", "—”"),
)


@dataclass(frozen=True)
class Line(Piece):
    """
    A line of a column, whole: its pieces as one.

    Attributes:
        page: from 0.
        column: which of the page's, from the left; -1 for a line across several.
        column_left, column_right: where that column begins and ends.
    """

    page: int
    column: int
    column_left: float = 0.0
    column_right: float = 0.0

    def has_room(self, following: "Line") -> bool:
        """Whether the next line's first word had fitted behind this line."""
        width = (self.right - self.left) / len(self.text)
        word = len(following.text.split(" ", 1)[0]) + 1
        return self.right + width * word < self.column_right - self.size / 2

    @property
    def is_indented(self) -> bool:
        """Whether it begins further right than its column does."""
        return self.left > self.column_left + INDENT * self.size

    @property
    def ends(self) -> bool:
        """Whether a paragraph may end with it."""
        return self.text.endswith(_ENDS)


def read_lines(page: Page, number: int, body: float) -> list[Line]:
    """
    Read the lines of a page, columns one after the other.

    A line across the columns parts what is above it from what is below.

    Args:
        page: without its margins.
        number: the page's, from 0.
        body: the size that the book's text has.
    """
    pieces = _with_initials(page.pieces, body)
    gutters = _gutters(pieces, body)
    columns: list[list[Piece]] = [[] for _ in range(len(gutters) + 1)]
    ordered: list[tuple[int, list[Piece]]] = []

    def finish_columns() -> None:
        for index, column in enumerate(columns):
            ordered.append((index, list(column)))
            column.clear()

    for piece in sorted(pieces, key=lambda piece: piece.baseline):
        if any(piece.left < middle < piece.right for middle in gutters):
            finish_columns()
            ordered.append((_ACROSS, [piece]))
        else:
            columns[bisect_right(gutters, (piece.left + piece.right) / 2)].append(piece)
    finish_columns()
    lines = [line for column, pieces in ordered for line in _lines(pieces, number, column)]
    return _within_columns([line for line in lines if line.text])


def _with_initials(pieces: tuple[Piece, ...], body: float) -> tuple[Piece, ...]:
    """The pieces with the large first letters of chapters put before the lines they belong to."""
    initials = [
        piece
        for piece in pieces
        if len(piece.text) <= _MAX_INITIAL and piece.size >= _INITIAL_SHARE * body
    ]
    for initial in initials[:_MAX_INITIALS]:
        beside = [
            piece
            for piece in pieces
            if 0 <= piece.left - initial.right + body / 2 < 2 * body
            and initial.baseline - initial.size < piece.baseline < initial.baseline + body / 4
        ]
        if not beside:
            continue
        first = min(beside, key=lambda piece: piece.baseline)
        joined = replace(first, text=initial.text + first.text)
        moved = {id(p): replace(joined if p is first else p, left=initial.left) for p in beside}
        pieces = tuple(moved.get(id(piece), piece) for piece in pieces if piece is not initial)
    return pieces


# Columns


def _gutters(pieces: tuple[Piece, ...], body: float) -> list[float]:
    """The middles of the gaps between columns; none on a page of one column."""
    if not 2 * _MIN_COLUMN_LINES <= len(pieces) <= _MAX_COLUMN_PIECES:
        return []
    borders = [-inf, inf]
    for middle in _gaps(pieces, body):
        place = bisect_right(borders, middle)
        before = [p for p in pieces if borders[place - 1] <= p.left and p.right <= middle]
        behind = [p for p in pieces if middle <= p.left and p.right <= borders[place]]
        if _is_column(before) and _is_column(behind):
            borders.insert(place, middle)
    return borders[1:-1]


def _gaps(pieces: tuple[Piece, ...], body: float) -> list[float]:
    """The middles of the widest gaps, those that the fewest pieces go across first."""
    edges = sorted([(piece.left, 1) for piece in pieces] + [(piece.right, -1) for piece in pieces])
    gaps: list[tuple[int, float, float]] = []
    crossing = 0
    for (edge, step), (following, _) in pairwise(edges):
        crossing += step
        width = following - edge
        if crossing <= _MAX_CROSSING * len(pieces) and width >= _GUTTER * body:
            gaps.append((crossing, -width, edge + width / 2))
    return [middle for _, _, middle in sorted(gaps)[:_MAX_GAPS]]


def _is_column(pieces: list[Piece]) -> bool:
    """Whether these pieces fill a column, as prose does and a table's cells don't."""
    if len(pieces) < _MIN_COLUMN_LINES:
        return False
    width = max(piece.right for piece in pieces) - min(piece.left for piece in pieces)
    return (
        median(piece.right - piece.left for piece in pieces) >= _MIN_COLUMN_FILL * width
        and median(len(piece.text.split()) for piece in pieces) >= _MIN_COLUMN_WORDS
    )


def _within_columns(lines: list[Line]) -> list[Line]:
    """The lines with the borders of their column on the page."""
    borders: dict[int, tuple[float, float]] = {}
    for column in {line.column for line in lines}:
        own = [line for line in lines if line.column == column]
        lefts = Counter(round(line.left) for line in own)
        most = max(lefts.values())
        usual = min(left for left, times in lefts.items() if times * 2 >= most)
        borders[column] = (float(usual), max(line.right for line in own))
    return [
        replace(line, column_left=borders[line.column][0], column_right=borders[line.column][1])
        for line in lines
    ]


# Lines


def _lines(pieces: list[Piece], page: int, column: int) -> Iterator[Line]:
    """Pieces on one height put together; `pieces` come from top to bottom."""
    heights: list[list[Piece]] = []
    for piece in pieces:
        if heights and _stand_on_one_line(heights[-1][0], piece):
            heights[-1].append(piece)
        else:
            heights.append([piece])
    for height in heights:
        height.sort(key=lambda piece: piece.left)
        longest = max(height, key=lambda piece: len(piece.text))
        yield Line(
            text=" ".join(piece.text for piece in height),
            left=height[0].left,
            right=max(piece.right for piece in height),
            baseline=longest.baseline,
            size=longest.size,
            bold=all(piece.bold for piece in height),
            page=page,
            column=column,
        )


def _stand_on_one_line(above: Piece, piece: Piece) -> bool:
    return piece.baseline - above.baseline < _SAME_LINE * min(piece.size, above.size)
