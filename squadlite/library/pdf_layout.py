"""
The layout of a PDF: its pages, which are lines at places, to the paragraphs of a book.

    pdf_page           pages as the file has them
    pdf_margins        without running heads and page numbers
    pdf_reading_order  pieces -> whole lines, columns one after the other
    pdf_paragraphs     lines -> paragraphs and headings
    pdf_joining        the lines of a paragraph -> its text
"""

from dataclasses import dataclass, replace

from squadlite.library.markup import clean_line
from squadlite.library.pdf_joining import Hyphens, join_lines
from squadlite.library.pdf_margins import without_margins
from squadlite.library.pdf_page import Page, Piece, body_size
from squadlite.library.pdf_paragraphs import heading_levels, split_paragraphs
from squadlite.library.pdf_reading_order import read_lines
from squadlite.library.structure import Block

_LIGATURES = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
)


@dataclass(frozen=True)
class PlacedBlock:
    """A block, and where it begins: page (from 0) and the baseline of its first line."""

    block: Block
    page: int
    baseline: float


def lay_out(pages: list[Page]) -> list[PlacedBlock]:
    """
    Rebuild the paragraphs and headings of a book, in reading order.

    Running heads and page numbers are dropped, columns read one after the other, lines joined and
    words put together again that a line's end divides. What is larger than the text, or bold and
    alone on its line, is a heading, the largest of level 1.

    Args:
        pages: all pages, in order.
    """
    pages = without_margins([_cleaned(page) for page in pages])
    body = body_size(pages)
    lines = [line for number, page in enumerate(pages) for line in read_lines(page, number, body)]
    if not lines:
        return []
    paragraphs = split_paragraphs(lines, body)
    levels = heading_levels(paragraphs, body)
    hyphens = Hyphens(lines)
    return [
        PlacedBlock(join_lines(own, level, hyphens, pages), own[0].page, own[0].baseline)
        for own, level in zip(paragraphs, levels, strict=True)
    ]


def _cleaned(page: Page) -> Page:
    """The page with clean text, without the pieces that have none."""
    pieces = [replace(piece, text=_clean_text(piece)) for piece in page.pieces]
    return replace(page, pieces=tuple(piece for piece in pieces if piece.text))


def _clean_text(piece: Piece) -> str:
    # The mark of a hyphen that shows at the line's end alone is needed there.
    hyphen = "-" if piece.text.endswith("\u00ad") else ""
    return clean_line(piece.text.translate(_LIGATURES)) + hyphen
