"""Books of one file cut into chapters at their headings."""

import re
from dataclasses import dataclass

from squadlite.library.frontmatter import is_contents, is_publishers_page, is_title_page
from squadlite.library.structure import Block, Chapter, count_words, join_blocks, page_starts

# A heading with fewer words under it is a title page's, or the next heading's first line.
MIN_CHAPTER_WORDS = 60
MIN_PROSE_WORDS = 30
_DIVISION = re.compile(r"(?:part|book|volume|tome|band|teil|buch|livre|partie)\b", re.IGNORECASE)


@dataclass(frozen=True)
class _Section:
    heading: Block | None
    blocks: list[Block]


def split_chapters(blocks: list[Block], *, book_title: str) -> tuple[Chapter, ...]:
    """
    Cut a book's blocks into chapters at the headings of the level that divides it.

    That is the highest level of which at least two headings have text under them, or the next one
    where those are the headings of parts ("Part II"); higher headings cut too. What stands before
    the first chapter is one of its own if it holds prose, and left out if it is only a title page
    or a table of contents; so are an imprint and a colophon with headings of their own.

    Args:
        blocks: the whole book; levels as the author or `text.py` set them.
        book_title: the title of what has no heading of its own.

    Returns:
        Chapters in order; none if there is no text.
    """
    sections = _join_bare(_sections(blocks, _dividing_level(blocks)))
    if len(sections) > 1 and sections[0].heading is None and not has_prose(sections[0].blocks):
        del sections[0]
    of_book = [section for section in sections if not _is_publishers(section, book_title)]
    sections = of_book or sections
    if not sections and blocks:
        sections = [_Section(None, blocks)]
    return tuple(
        Chapter(
            index,
            title=_title(section.heading) or book_title,
            href=_href(section.heading),
            text=join_blocks(section.blocks),
            pages=page_starts(section.blocks),
        )
        for index, section in enumerate(sections)
    )


def is_division(title: str) -> bool:
    """Whether a heading is that of a part of the book, which holds chapters: "Part II"."""
    return _DIVISION.match(title) is not None


def _dividing_level(blocks: list[Block]) -> int:
    """The highest heading level that divides the book into chapters; 0 if none does."""
    parts = 0
    for level in range(1, 7):
        filled = [
            section.heading.text
            for section in _sections(blocks, level)
            if section.heading is not None
            and section.heading.level == level
            and count_words(section.blocks) >= MIN_CHAPTER_WORDS
            and not is_contents(section.blocks)
        ]
        if len(filled) < 2:
            continue
        if parts or sum(map(is_division, filled)) < 2:
            return level
        parts = level
    return parts


def _sections(blocks: list[Block], level: int) -> list[_Section]:
    """Cut before each heading of this level or a higher one."""
    sections = [_Section(None, [])]
    for block in blocks:
        if 0 < block.level <= level:
            sections.append(_Section(block, []))
        sections[-1].blocks.append(block)
    return [section for section in sections if section.blocks]


def _join_bare(sections: list[_Section]) -> list[_Section]:
    """
    Give headings with nothing but headings under them to the section that follows.

    A table of contents goes, and with it the bare headings before it: they are a title page.
    """
    merged: list[_Section] = []
    waiting: list[Block] = []
    for section in sections:
        if is_contents(section.blocks):
            waiting = []
            continue
        if section.heading is not None and all(block.level for block in section.blocks):
            waiting += section.blocks
            continue
        merged.append(_Section(section.heading, waiting + section.blocks))
        waiting = []
    if waiting and merged:
        merged[-1].blocks.extend(waiting)
    return merged


def _is_publishers(section: _Section, book_title: str) -> bool:
    """Whether a section isn't the author's text: a title page, or so headed as an imprint is."""
    name = "-".join(_title(section.heading).split())
    return is_title_page(book_title, section.blocks) or (
        bool(name) and is_publishers_page(name, set(), section.blocks)
    )


def has_prose(blocks: list[Block]) -> bool:
    """Whether these blocks hold sentences, not only titles and lists."""
    return any(
        len(block.text.split()) >= MIN_PROSE_WORDS
        and block.text.rstrip("\"'”’)»]").endswith((".", "!", "?", "…"))
        for block in blocks
        if not block.level
    )


def _title(heading: Block | None) -> str:
    return "" if heading is None else " ".join(heading.text.split())


def _href(heading: Block | None) -> str:
    return f"#{heading.anchors[0]}" if heading is not None and heading.anchors else ""
