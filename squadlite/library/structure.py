"""What every kind of e-book is turned into: blocks on the way, then chapters of one book."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """
    A paragraph or a heading, as a format's reader hands it on.

    Attributes:
        text: clean text; "\\n" only where the author broke the line (verse, addresses).
        level: 1-6 for a heading, 0 for everything else.
        anchors: ids that links into the book may point to.
        link_share: the part of the characters that stand inside links, 0..1.
    """

    text: str
    level: int = 0
    anchors: tuple[str, ...] = ()
    link_share: float = 0.0


@dataclass(frozen=True)
class PageStart:
    """Where a page of the printed book begins: its label, and the offset in the chapter's text."""

    label: str
    start: int


@dataclass(frozen=True)
class Chapter:
    """
    A chapter of a book.

    Attributes:
        index: its place in the book, from 0.
        title: as the table of contents names it, else its heading, else its file's name.
        href: where it stands in the book's file: an archive member for EPUB, with "#anchor"
            where one file holds several chapters; "#anchor" or "" for books of one file.
        text: clean text, paragraphs apart by a blank line. All offsets count its characters.
        pages: the printed pages that begin in it, in order, where the book says.
    """

    index: int
    title: str
    href: str
    text: str
    pages: tuple[PageStart, ...] = ()


@dataclass(frozen=True)
class Book:
    """
    A book: its title, author and language as the file names them ("" where it doesn't).

    `language` is the file's own tag ("en-GB"); `chapters` is never empty, and every chapter has
    text.
    """

    title: str
    author: str
    language: str
    chapters: tuple[Chapter, ...]


PARAGRAPH_BREAK = "\n\n"


def join_blocks(blocks: list[Block]) -> str:
    """The text of a chapter made of these blocks."""
    return PARAGRAPH_BREAK.join(block.text for block in blocks)
