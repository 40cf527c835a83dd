"""The pages of a PDF, which are lines at places, to the paragraphs and headings of a book."""

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import itemgetter
from statistics import median

from squadlite.library.decoding import clean_controls
from squadlite.library.markup import clean_line
from squadlite.library.structure import Block, PageStart


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


@dataclass(frozen=True)
class PlacedBlock:
    """A block, and where it begins: page (from 0) and the baseline of its first line."""

    block: Block
    page: int
    baseline: float


# Running heads and feet are among so many of a page's outermost lines ...
_MARGIN_LINES = 2
_MAX_MARGIN_PIECES = 10
# ... and come again within so many pages at the same height, give or take points.
_MARGIN_PAGES = 2
_SAME_HEIGHT = 6.0
_MAX_HEAD_CHARACTERS = 120
# What is larger is no page's number, but a chapter's.
_MAX_NUMBER_SHARE = 1.3
# A gap between columns, in sizes of the font, and what a column must have on either side.
_GUTTER = 0.8
_MIN_COLUMN_LINES = 4
# Beyond this a page is a map or a table, not columns of prose.
_MAX_COLUMN_PIECES = 2_000
_MAX_GAPS = 20
_MIN_COLUMN_WORDS = 3
_MIN_COLUMN_FILL = 0.5
_MAX_CROSSING = 0.3
_INDENT = 0.7
_PARAGRAPH_LEADING = 1.3
_USUAL_LEADING = 1.2
_MAX_LEADING = 2.5
_INDENTING_SHARE = 0.05
_HEADING_LEADING = 1.8
_SIZE_STEP = 0.08
_SMALL_SHARE = 0.92
_HEADING_SHARE = 1.12
_MAX_HEADING_WORDS = 30
_MAX_BOLD_HEADING_WORDS = 12
# The first letter of a chapter, as high as several lines.
_MAX_INITIAL = 2
_INITIAL_SHARE = 1.8
_MAX_INITIALS = 4

_DIGITS = r"(\d{1,5}|[ivxlcdm]{1,9})"
# A page's number: what begins or ends a line.
_PAGE_NUMBER = re.compile(
    rf"^\W*(?:page |p\. ?)?{_DIGITS}\b\W*|\W*\b(?:page |p\. ?)?{_DIGITS}(?: of \d+)?\W*$",
    re.IGNORECASE,
)
_ENDS = (
    *(stop + quote for stop in (".", "!", "?", "…") for quote in ("", *"”’\"')")),
    *(":", ":—", "—”"),
)
_HYPHENS = ("-", "‐")
_WORD = re.compile(r"[^\W\d_]+(?:[-‐’'][^\W\d_]+)*")
_LAST_WORD = re.compile(r"[^\W\d_]+(?:[-‐’'][^\W\d_]+)*\Z")
_LIGATURES = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
)
_MAX_WORD = 60
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100, "d": 500, "m": 1000}


def lay_out(pages: list[Page]) -> list[PlacedBlock]:
    """
    Rebuild the paragraphs and headings of a book, in reading order.

    Running heads and page numbers are dropped, columns read one after the other, lines joined and
    words put together again that a line's end divides. What is larger than the text, or bold and
    alone on its line, is a heading, the largest of level 1.

    Args:
        pages: all pages, in order.
    """
    pages = [replace(page, pieces=tuple(_cleaned(page.pieces))) for page in pages]
    pages = _without_margins(pages)
    body = _body_size(pages)
    rows = [row for number, page in enumerate(pages) for row in _read_page(page, number, body)]
    if not rows:
        return []
    paragraphs = _paragraphs(rows, body)
    levels = _heading_levels(paragraphs, body)
    hyphens = _Hyphens(rows)
    return [
        PlacedBlock(_block(rows, level, hyphens, pages), rows[0].page, rows[0].baseline)
        for rows, level in zip(paragraphs, levels, strict=True)
    ]


def _cleaned(pieces: tuple[Piece, ...]) -> Iterator[Piece]:
    for piece in pieces:
        # The mark of a hyphen that shows at the line's end alone is needed there.
        hyphen = "-" if piece.text.endswith("\u00ad") else ""
        text = clean_line(clean_controls(piece.text).translate(_LIGATURES)) + hyphen
        if text:
            yield replace(piece, text=text)


def _body_size(pages: list[Page]) -> float:
    """The size that most characters have."""
    sizes: Counter[float] = Counter()
    for page in pages:
        for piece in page.pieces:
            sizes[_rounded(piece.size)] += len(piece.text)
    return max(sizes.most_common(1)[0][0], 1.0) if sizes else 1.0


def _rounded(size: float) -> float:
    return round(size * 2) / 2


# Running heads and page numbers


def _without_margins(pages: list[Page]) -> list[Page]:
    """The pages without the lines that stand at the top or the foot of many."""
    margins = _Margins(pages)
    kept = []
    for number, page in enumerate(pages):
        dropped = {id(piece) for piece in margins.of(number)}
        kept.append(replace(page, pieces=tuple(p for p in page.pieces if id(p) not in dropped)))
    return kept


class _Margins:
    """The outermost lines of all pages, and where else they are found."""

    def __init__(self, pages: list[Page]) -> None:
        self._body = _body_size(pages)
        self._outer = [_outermost(page) for page in pages]
        self._found: dict[tuple[str, int | None], list[tuple[int, float]]] = defaultdict(list)
        for number, edges in enumerate(self._outer):
            # A page of few lines has the same ones at its top and its foot.
            for piece in {id(p): p for edge in edges for line in edge for p in line}.values():
                self._found[self._key(piece, number)].append((number, piece.baseline))

    def of(self, number: int) -> Iterator[Piece]:
        """The running heads and page numbers of a page, from the outside in."""
        for edge in self._outer[number]:
            for line in edge:
                found = [piece for piece in line if self._is_margin(piece, number)]
                if not found:
                    break
                yield from found

    def _key(self, piece: Piece, number: int) -> tuple[str, int | None]:
        """What a running head says, and how far its number is from its page's."""
        found = _PAGE_NUMBER.search(piece.text)
        if found is None or piece.size > _MAX_NUMBER_SHARE * self._body:
            return piece.text.casefold(), None
        text = piece.text[: found.start()] + piece.text[found.end() :]
        return text.casefold(), _value(found[1] or found[2]) - number

    def _is_margin(self, piece: Piece, number: int) -> bool:
        """Whether a line comes again close by; a number alone may stand at another height."""
        key = self._key(piece, number)
        around = self._found[key]
        first = bisect_right(around, number - _MARGIN_PAGES - 1, key=itemgetter(0))
        last = bisect_right(around, number + _MARGIN_PAGES, key=itemgetter(0))
        return any(
            other != number and (not key[0] or abs(baseline - piece.baseline) < _SAME_HEIGHT)
            for other, baseline in around[first:last]
        )


def _outermost(page: Page) -> tuple[list[list[Piece]], list[list[Piece]]]:
    """The first and the last lines of a page, from the outside in, as far as they are short."""
    by_height: dict[float, list[Piece]] = defaultdict(list)
    for piece in page.pieces:
        by_height[piece.baseline].append(piece)
    heights = sorted(by_height)

    def at(heights: list[float]) -> list[list[Piece]]:
        return [
            [p for p in by_height[height] if len(p.text) <= _MAX_HEAD_CHARACTERS]
            for height in heights
            if len(by_height[height]) <= _MAX_MARGIN_PIECES
        ]

    return at(heights[:_MARGIN_LINES]), at(heights[::-1][:_MARGIN_LINES])


def _value(digits: str) -> int:
    """The number that digits or Roman numerals write."""
    if digits.isdecimal():
        return int(digits)
    values = [_ROMAN[letter] for letter in digits.lower()]
    return sum(-a if a < b else a for a, b in pairwise([*values, 0]))


# Reading order


@dataclass(frozen=True)
class _Row:
    """A line of a column, whole."""

    text: str
    left: float
    right: float
    baseline: float
    size: float
    bold: bool
    page: int
    column: int
    column_left: float = 0.0
    column_right: float = 0.0

    def has_room(self, following: "_Row") -> bool:
        """Whether the next line's first word had fitted behind this line."""
        width = (self.right - self.left) / len(self.text)
        word = len(following.text.split(" ", 1)[0]) + 1
        return self.right + width * word < self.column_right - self.size / 2

    @property
    def is_indented(self) -> bool:
        return self.left > self.column_left + _INDENT * self.size

    @property
    def ends(self) -> bool:
        return self.text.endswith(_ENDS)


def _read_page(page: Page, number: int, body: float) -> list[_Row]:
    """The lines of a page in reading order, columns one after the other."""
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
            ordered.append((-1, [piece]))
        else:
            columns[bisect_right(gutters, (piece.left + piece.right) / 2)].append(piece)
    finish_columns()
    rows = [row for column, pieces in ordered for row in _rows(pieces, number, column) if row.text]
    return _within_columns(rows)


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


def _gutters(pieces: tuple[Piece, ...], body: float) -> list[float]:
    """The middles of the gaps between columns; none on a page of one column."""
    if not 2 * _MIN_COLUMN_LINES <= len(pieces) <= _MAX_COLUMN_PIECES:
        return []
    edges = sorted([(piece.left, 1) for piece in pieces] + [(piece.right, -1) for piece in pieces])
    gaps: list[tuple[int, float, float]] = []
    crossing = 0
    for (edge, step), (following, _) in pairwise(edges):
        crossing += step
        width = following - edge
        if crossing <= _MAX_CROSSING * len(pieces) and width >= _GUTTER * body:
            gaps.append((crossing, -width, edge + width / 2))
    gutters = [edges[0][0], edges[-1][0]]
    for _, _, middle in sorted(gaps)[:_MAX_GAPS]:
        place = bisect_right(gutters, middle)
        before = [p for p in pieces if gutters[place - 1] <= p.left and p.right <= middle]
        behind = [p for p in pieces if middle <= p.left and p.right <= gutters[place]]
        if _is_column(before) and _is_column(behind):
            gutters.insert(place, middle)
    return gutters[1:-1]


def _is_column(pieces: list[Piece]) -> bool:
    """Whether these lines fill a column, as prose does and a table's cells don't."""
    if len(pieces) < _MIN_COLUMN_LINES:
        return False
    width = max(piece.right for piece in pieces) - min(piece.left for piece in pieces)
    return (
        median(piece.right - piece.left for piece in pieces) >= _MIN_COLUMN_FILL * width
        and median(len(piece.text.split()) for piece in pieces) >= _MIN_COLUMN_WORDS
    )


def _rows(pieces: list[Piece], page: int, column: int) -> Iterator[_Row]:
    """Pieces on one height put together; `pieces` come from top to bottom."""
    lines: list[list[Piece]] = []
    for piece in pieces:
        above = lines[-1][0] if lines else None
        if above is not None and piece.baseline - above.baseline < 0.4 * min(
            piece.size, above.size
        ):
            lines[-1].append(piece)
        else:
            lines.append([piece])
    for line in lines:
        line.sort(key=lambda piece: piece.left)
        largest = max(line, key=lambda piece: len(piece.text))
        yield _Row(
            text=" ".join(piece.text for piece in line),
            left=line[0].left,
            right=max(piece.right for piece in line),
            baseline=largest.baseline,
            size=largest.size,
            bold=all(piece.bold for piece in line),
            page=page,
            column=column,
        )


def _within_columns(rows: list[_Row]) -> list[_Row]:
    """The rows with the borders of their column on the page."""
    borders: dict[int, tuple[float, float]] = {}
    for column in {row.column for row in rows}:
        own = [row for row in rows if row.column == column]
        lefts = Counter(round(row.left) for row in own)
        most = max(lefts.values())
        usual = min(left for left, times in lefts.items() if times * 2 >= most)
        borders[column] = (float(usual), max(row.right for row in own))
    return [
        replace(row, column_left=borders[row.column][0], column_right=borders[row.column][1])
        for row in rows
    ]


# Paragraphs


def _paragraphs(rows: list[_Row], body: float) -> list[list[_Row]]:
    """
    The rows of each paragraph, in reading order.

    What is smaller than the text waits until the paragraph before it ends, since a note at a
    page's foot interrupts a paragraph that goes on overleaf.
    """
    leading = _leading(rows, body)
    indents = sum(row.is_indented for row in rows) > _INDENTING_SHARE * len(rows)
    paragraphs: list[list[_Row]] = []
    notes: list[list[_Row]] = []
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        is_note = row.size < _SMALL_SHARE * body
        group = notes if is_note else paragraphs
        if group and not _begins(group[-1], row, following, leading, indents=indents):
            group[-1].append(row)
            continue
        if not is_note:
            paragraphs += notes
            notes.clear()
        group.append([row])
    return paragraphs + notes


def _leading(rows: list[_Row], body: float) -> float:
    """The distance between the lines of a paragraph, in sizes of its font."""
    pitches = [
        row.baseline - last.baseline
        for last, row in pairwise(rows)
        if (last.page, last.column) == (row.page, row.column)
        and not last.has_room(row)
        and _rounded(last.size) == _rounded(row.size) == body
        and 0 < row.baseline - last.baseline < _MAX_LEADING * body
    ]
    return median(pitches) / body if pitches else _USUAL_LEADING


def _begins(
    paragraph: list[_Row], row: _Row, following: _Row | None, leading: float, *, indents: bool
) -> bool:
    """Whether a row begins another paragraph; `indents`: whether the book's paragraphs do."""
    last = paragraph[-1]
    below = row.page == last.page and row.baseline > last.baseline
    gap = row.baseline - last.baseline > _PARAGRAPH_LEADING * leading * row.size
    another_size = abs(row.size - last.size) > _SIZE_STEP * last.size
    if another_size or row.bold != last.bold or (below and gap):
        return True
    if not below or row.column != last.column:
        return _begins_overleaf(last, row, following, leading, indents=indents)
    ends_early = last.ends and last.has_room(row)
    step = (row.left - last.left) / row.size
    if step > _INDENT:
        # Unless all lines but the first are indented.
        return last.ends or last.has_room(row)
    if len(paragraph) > 1:
        return step < -_INDENT or ends_early
    if indents and row.is_indented and last.is_indented:
        # A paragraph of one line before another, or the second line of an indented quotation.
        return ends_early or (last.ends and (following is None or not following.is_indented))
    return ends_early


def _begins_overleaf(
    last: _Row, row: _Row, following: _Row | None, leading: float, *, indents: bool
) -> bool:
    """Whether the first row of a page or a column begins another paragraph than the last did."""
    if row.text[0].islower():
        return False
    stands_alone = (
        following is not None
        and following.page == row.page
        and following.baseline - row.baseline > _HEADING_LEADING * leading * row.size
    )
    ends = last.ends and (last.has_room(row) or not indents)
    return stands_alone or row.is_indented or ends


def _heading_levels(paragraphs: list[list[_Row]], body: float) -> list[int]:
    """The level of each paragraph as a heading; 0 for text."""
    is_bold_book = sum(rows[0].bold for rows in paragraphs) * 2 > len(paragraphs)
    ranks: list[float] = []
    for rows in paragraphs:
        words = sum(len(row.text.split()) for row in rows)
        if rows[0].size > _HEADING_SHARE * body and words <= _MAX_HEADING_WORDS:
            ranks.append(_rounded(rows[0].size))
        elif (
            rows[0].bold
            and not is_bold_book
            and rows[0].size > _SMALL_SHARE * body
            and words <= _MAX_BOLD_HEADING_WORDS
            and not rows[-1].text.endswith((".", ",", ";"))
        ):
            ranks.append(0.0)  # below all that are larger than the text
        else:
            ranks.append(-1.0)
    levels = {
        rank: min(level, 6)
        for level, rank in enumerate(sorted({r for r in ranks if r >= 0}, reverse=True), start=1)
    }
    return [levels.get(rank, 0) for rank in ranks]


class _Hyphens:
    """
    Which hyphens at the ends of lines belong to their word.

    The words of the book tell: "happen" is one of them without its hyphen, "well-known" with it.
    Of "easy-chair" both halves are, which tells something where lines are not hyphenated.
    """

    def __init__(self, rows: list[_Row]) -> None:
        # Not the first and the last of a line, which may be parts of words.
        self._words = Counter(word for row in rows for word in _WORD.findall(row.text)[1:-1])
        known = [
            self._known(last.text, row.text)
            for last, row in pairwise(rows)
            if last.text.endswith(_HYPHENS)
        ]
        self._hyphenates = sum(known) > 0

    def _known(self, text: str, following: str) -> int:
        """How much more often the book has a word without the hyphen than with it."""
        first, second = self._halves(text, following)
        return self._words[first + second] - self._words[f"{first}-{second}"]

    def _halves(self, text: str, following: str) -> tuple[str, str]:
        first, second = _LAST_WORD.search(text[:-1][-_MAX_WORD:]), _WORD.match(following)
        return (first[0], second[0]) if first and second else ("", "")

    def stays(self, text: str, following: str) -> bool:
        """Whether the hyphen that `text` ends with is its word's, and not its line's."""
        known = self._known(text, following)
        if known:
            return known < 0
        first, second = self._halves(text, following)
        if not first or not following[0].islower():
            return True
        are_words = self._words[first] and self._words[second] and min(len(first), len(second)) > 2
        return bool(are_words) and not self._hyphenates


def _block(rows: list[_Row], level: int, hyphens: _Hyphens, pages: list[Page]) -> Block:
    """A paragraph's rows joined; verse keeps its lines."""
    broken = sum(row.has_room(following) for row, following in pairwise(rows))
    separator = "\n" if broken * 2 > len(rows) - 1 and not level else " "
    text = rows[0].text
    starts = [PageStart(pages[rows[0].page].label, 0)]
    for last, row in pairwise(rows):
        if text.endswith("—") and not text.endswith(" —") and separator == " ":
            pass  # a dash between words, not between spaces
        elif not text.endswith(_HYPHENS) or not row.text[0].isalpha():
            text += separator
        elif not hyphens.stays(text, row.text):
            text = text[:-1]
        if row.page != last.page:
            starts.append(PageStart(pages[row.page].label, len(text)))
        text += row.text
    return Block(text, level, pages=tuple(starts))
