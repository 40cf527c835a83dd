"""The lines of a PDF, in reading order, to paragraphs and headings."""

from itertools import pairwise
from statistics import median

from squadlite.library.pdf_page import rounded_size
from squadlite.library.pdf_reading_order import INDENT, Line

# The leading is the distance between lines, in sizes of the font.
_USUAL_LEADING = 1.2
_MAX_LEADING = 2.5
# So many times the leading part paragraphs, and a heading from the text below it.
_PARAGRAPH_LEADING = 1.3
_HEADING_LEADING = 1.8
# Paragraphs begin with an indent in a book of which so many lines have one.
_INDENTING_SHARE = 0.05
# Lines of one paragraph don't differ by more than this share of their size.
_SIZE_STEP = 0.08
# Notes are smaller than the text's size times this, headings larger than it times that.
_SMALL_SHARE = 0.92
_HEADING_SHARE = 1.12
_MAX_HEADING_WORDS = 30
_MAX_BOLD_HEADING_WORDS = 12
_MAX_HEADING_LEVEL = 6


def split_paragraphs(lines: list[Line], body: float) -> list[list[Line]]:
    """
    Find out which lines make a paragraph.

    What is smaller than the text waits until the paragraph before it ends, since a note at a
    page's foot interrupts a paragraph that goes on overleaf.

    Args:
        lines: of all pages, in reading order.
        body: the size that the text has.

    Returns:
        The lines of each paragraph or heading, in reading order.
    """
    leading = _leading(lines, body)
    indents = sum(line.is_indented for line in lines) > _INDENTING_SHARE * len(lines)
    paragraphs: list[list[Line]] = []
    notes: list[list[Line]] = []
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        is_note = line.size < _SMALL_SHARE * body
        group = notes if is_note else paragraphs
        if group and not _begins(group[-1], line, following, leading, indents=indents):
            group[-1].append(line)
            continue
        if not is_note:
            paragraphs += notes
            notes.clear()
        group.append([line])
    return paragraphs + notes


def _leading(lines: list[Line], body: float) -> float:
    """The distance between the lines of a paragraph, in sizes of its font."""
    distances = [
        line.baseline - last.baseline
        for last, line in pairwise(lines)
        if (last.page, last.column) == (line.page, line.column)
        and not last.has_room(line)
        and rounded_size(last.size) == rounded_size(line.size) == body
        and 0 < line.baseline - last.baseline < _MAX_LEADING * body
    ]
    return median(distances) / body if distances else _USUAL_LEADING


def _begins(
    paragraph: list[Line], line: Line, following: Line | None, leading: float, *, indents: bool
) -> bool:
    """Whether a line begins another paragraph; `indents`: whether the book's paragraphs do."""
    last = paragraph[-1]
    below = line.page == last.page and line.baseline > last.baseline
    gap = line.baseline - last.baseline > _PARAGRAPH_LEADING * leading * line.size
    another_size = abs(line.size - last.size) > _SIZE_STEP * last.size
    if another_size or line.bold != last.bold or (below and gap):
        return True
    if not below or line.column != last.column:
        return _begins_overleaf(last, line, following, leading, indents=indents)
    ends_early = last.ends and last.has_room(line)
    step = (line.left - last.left) / line.size
    if step > INDENT:
        # Unless all lines but the first are indented.
        return last.ends or last.has_room(line)
    if len(paragraph) > 1:
        return step < -INDENT or ends_early
    if indents and line.is_indented and last.is_indented:
        # A paragraph of one line before another, or the second line of an indented quotation.
        return ends_early or (last.ends and (following is None or not following.is_indented))
    return ends_early


def _begins_overleaf(
    last: Line, line: Line, following: Line | None, leading: float, *, indents: bool
) -> bool:
    """Whether the first line of a page or a column begins another paragraph than the last did."""
    if line.text[0].islower():
        return False
    stands_alone = (
        following is not None
        and following.page == line.page
        and following.baseline - line.baseline > _HEADING_LEADING * leading * line.size
    )
    ends = last.ends and (last.has_room(line) or not indents)
    return stands_alone or line.is_indented or ends


def heading_levels(paragraphs: list[list[Line]], body: float) -> list[int]:
    """
    Tell headings by their size, or by bold type where the book isn't set in it.

    Args:
        paragraphs: the lines of each.
        body: the size that the text has.

    Returns:
        The level of each paragraph, 1-6, the largest headings' 1; 0 for text.
    """
    is_bold_book = sum(lines[0].bold for lines in paragraphs) * 2 > len(paragraphs)
    sizes = [_heading_size(lines, body, is_bold_book=is_bold_book) for lines in paragraphs]
    ranked = sorted({size for size in sizes if size is not None}, reverse=True)
    levels = {size: min(rank, _MAX_HEADING_LEVEL) for rank, size in enumerate(ranked, start=1)}
    return [0 if size is None else levels[size] for size in sizes]


def _heading_size(lines: list[Line], body: float, *, is_bold_book: bool) -> float | None:
    """The size that ranks a heading, 0 for one of the text's own; None for text."""
    first = lines[0]
    words = sum(len(line.text.split()) for line in lines)
    if first.size > _HEADING_SHARE * body and words <= _MAX_HEADING_WORDS:
        return rounded_size(first.size)
    is_bold_heading = (
        first.bold
        and not is_bold_book
        and first.size > _SMALL_SHARE * body
        and words <= _MAX_BOLD_HEADING_WORDS
        and not lines[-1].text.endswith((".", ",", ";"))
    )
    return 0.0 if is_bold_heading else None
