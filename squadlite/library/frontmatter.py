"""Telling the pages of the book from those around it: title page, imprint, licence, contents."""

import posixpath
import re

from squadlite.library.structure import Block, count_words

# epub:type, ARIA roles without "doc-", and the reference types of EPUB 2's guide.
_TYPE_NAMES = """
titlepage title-page halftitlepage halftitle imprint imprimatur colophon copyright-page copyright
cover frontispiece z3998:frontispiece toc landmarks page-list loi lot loa lov index
"""
_PUBLISHERS_TYPES = frozenset(_TYPE_NAMES.split())
_PUBLISHERS_NAMES = re.compile(
    r"(half)?-?_?title-?_?page|cover|imprint|colophon|(un)?copyright(-?_?page)?|toc|nav|contents"
    r"|table-?_?of-?_?contents|loi|list-?_?of-?_?illustrations|license|licence|wrap\d+",
    re.IGNORECASE,
)
_COPYRIGHT = re.compile(
    r"\ball rights reserved\b|\bISBN[\s:-]*[\dX]|\bcopyright ©|©", re.IGNORECASE
)
_CONTENTS = re.compile(
    r"(?:table of )?contents|inhalt(?:sverzeichnis)?|table des matières|índice|indice"
)
MAX_CONTENTS_WORDS = 20
MAX_TITLE_PAGE_WORDS = 60
MAX_PUBLISHERS_WORDS = 1000
MAX_COPYRIGHT_WORDS = 500
MIN_LINK_SHARE = 0.6


def is_publishers_page(href: str, types: set[str], blocks: list[Block]) -> bool:
    """
    Whether a page is not the author's text: a title page, imprint, licence or table of contents.

    What a page says of itself is believed while the page is short: some books label a file that
    holds the whole text.

    Args:
        href: the page's file.
        types: what the page, the landmarks or the guide say it is.
        blocks: its text, not empty.
    """
    words = count_words(blocks)
    if _mostly_links(blocks):
        return True
    if words > MAX_PUBLISHERS_WORDS:
        return False
    if {name.removeprefix("doc-") for name in types} & _PUBLISHERS_TYPES:
        return True
    stem = posixpath.splitext(posixpath.basename(href))[0]
    if _PUBLISHERS_NAMES.fullmatch(stem):
        return True
    return words <= MAX_COPYRIGHT_WORDS and any(_COPYRIGHT.search(block.text) for block in blocks)


def is_title_page(title: str, blocks: list[Block]) -> bool:
    """Whether a part of a book has its title, perhaps without the subtitle, and hardly more."""
    first = " ".join(blocks[0].text.split()).casefold()
    is_title = first in (title.casefold(), title.casefold().partition(":")[0])
    return is_title and count_words(blocks) <= MAX_TITLE_PAGE_WORDS


def _mostly_links(blocks: list[Block]) -> bool:
    characters = sum(len(block.text) for block in blocks)
    linked = sum(len(block.text) * block.link_share for block in blocks)
    return linked > MIN_LINK_SHARE * characters


def is_contents(blocks: list[Block]) -> bool:
    """Whether a part of a book is its table of contents: links, or short lines so headed."""
    if _mostly_links(blocks):
        return True
    first = _plain_heading(blocks[0].text)
    return _CONTENTS.fullmatch(first) is not None and all(
        len(line.split()) <= MAX_CONTENTS_WORDS
        for block in blocks
        for line in block.text.split("\n")
    )


def _plain_heading(text: str) -> str:
    return " ".join(text.split()).strip(" .:").lower()
