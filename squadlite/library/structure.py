"""What every kind of e-book is turned into: blocks on the way, then chapters of one book."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

MAX_COVER_BYTES = 8 << 20


@dataclass(frozen=True)
class PageStart:
    """
    Where a page of the printed book begins in a text.

    Attributes:
        label: what the book calls the page: "12", "xiv".
        start: how many characters stand before it.
    """

    label: str
    start: int


@dataclass(frozen=True)
class Block:
    """
    A paragraph or a heading, as a format's reader hands it on.

    Attributes:
        text: clean text; "\\n" only where the author broke the line (verse, addresses).
        level: 1-6 for a heading, 0 for everything else.
        anchors: ids that links into the book may point to.
        link_share: the part of the characters that stand inside links, 0..1.
        pages: the page that the block begins on, at 0, and those that begin within it; empty for
            a book without pages.
    """

    text: str
    level: int = 0
    anchors: tuple[str, ...] = ()
    link_share: float = 0.0
    pages: tuple[PageStart, ...] = ()


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
        pages: the page that the chapter begins on, at 0, and those that begin within it, in order;
            empty for a book without pages.
    """

    index: int
    title: str
    href: str
    text: str
    pages: tuple[PageStart, ...] = ()


@dataclass(frozen=True)
class Cover:
    """
    The picture on a book's cover. `Cover.from_image` makes one.

    Attributes:
        media_type: "image/png", "image/jpeg", "image/gif" or "image/webp".
        data: the image file, at most MAX_COVER_BYTES.
    """

    media_type: str
    data: bytes

    @classmethod
    def from_image(cls, data: bytes) -> Self | None:
        """The cover in an image file; None for one too large or of a kind not known."""
        if len(data) > MAX_COVER_BYTES:
            return None
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return cls("image/png", data)
        if data.startswith(b"\xff\xd8\xff"):
            return cls("image/jpeg", data)
        if data.startswith((b"GIF87a", b"GIF89a")):
            return cls("image/gif", data)
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return cls("image/webp", data)
        return None


@dataclass(frozen=True)
class Book:
    """
    A book, as its file describes it.

    Attributes:
        title: as the file names it, else the file's own name.
        author: the authors, joined by ", "; "" where the file names none.
        language: the file's own tag ("en-GB"); "" where it has none.
        chapters: never empty, and every chapter has text.
        identifier: what the file calls itself (an ISBN, a UUID, an address); "" where it doesn't.
        cover: the picture on the cover; None where there is none, or none that we know to show.
    """

    title: str
    author: str
    language: str
    chapters: tuple[Chapter, ...]
    identifier: str = ""
    cover: Cover | None = None


PARAGRAPH_BREAK = "\n\n"


def join_blocks(blocks: list[Block]) -> str:
    """The text of a chapter made of these blocks."""
    return PARAGRAPH_BREAK.join(block.text for block in blocks)


def page_starts(blocks: list[Block]) -> tuple[PageStart, ...]:
    """Where pages begin in the text of a chapter made of these blocks (see `join_blocks`)."""
    starts: list[PageStart] = []
    offset = 0
    for block in blocks:
        for page in block.pages:
            # Most blocks begin on the page that the last one ended on.
            if not starts or page.label != starts[-1].label:
                starts.append(PageStart(page.label, offset + page.start))
        offset += len(block.text) + len(PARAGRAPH_BREAK)
    return tuple(starts)


def page_at(pages: Sequence[PageStart], offset: int) -> str | None:
    """The label of the page that the character at `offset` stands on; None without pages."""
    place = bisect_right(pages, offset, key=lambda page: page.start)
    return pages[place - 1].label if place else None


def count_words(blocks: list[Block]) -> int:
    """How many words these blocks have, told apart by whitespace."""
    return sum(len(block.text.split()) for block in blocks)
