"""The margins of PDF pages: running heads, running feet and page numbers."""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from operator import itemgetter

from squadlite.library.numerals import roman_number
from squadlite.library.pdf_page import Page, Piece, body_size

# Running heads and feet are among so many of a page's outermost lines ...
_MARGIN_LINES = 2
_MAX_MARGIN_PIECES = 10
# ... and come again within so many pages at the same height, give or take points.
_MARGIN_PAGES = 2
_SAME_HEIGHT = 6.0
_MAX_HEAD_CHARACTERS = 120
# What is larger is no page's number, but a chapter's.
_MAX_NUMBER_SHARE = 1.3
# Without regard for case "ı" would be an "i", but that only ASCII is looked for.
_DIGITS = r"(\d{1,5}|(?a:[ivxlcdm]{1,9}))"
# A page's number: what begins or ends a line.
_PAGE_NUMBER = re.compile(
    rf"^\W*(?:page |p\. ?)?{_DIGITS}\b\W*|\W*\b(?:page |p\. ?)?{_DIGITS}(?: of \d+)?\W*$",
    re.IGNORECASE,
)


def without_margins(pages: list[Page]) -> list[Page]:
    """
    Drop what stands at the top or the foot of neighbouring pages.

    Args:
        pages: all pages, in order.

    Returns:
        As many pages, without these lines.
    """
    margins = _Margins(pages)
    kept = []
    for number, page in enumerate(pages):
        dropped = {id(piece) for piece in margins.of(number)}
        kept.append(replace(page, pieces=tuple(p for p in page.pieces if id(p) not in dropped)))
    return kept


class _Margins:
    """The outermost lines of all pages, and where else they are found."""

    def __init__(self, pages: list[Page]) -> None:
        self._body = body_size(pages)
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
        return text.casefold(), _page_number(found[1] or found[2]) - number

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


def _page_number(digits: str) -> int:
    """The number that digits or Roman numerals write."""
    return int(digits) if digits.isdecimal() else roman_number(digits)
