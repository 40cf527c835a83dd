"""Kindle books (MOBI, AZW3) and PalmDOC texts."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from squadlite.errors import BrokenBookError, ProtectedBookError, UnsupportedBookError
from squadlite.library.contents import Entry, first_heading, split_page
from squadlite.library.decoding import clean_controls, decode
from squadlite.library.frontmatter import is_contents, is_publishers_page, is_title_page
from squadlite.library.gutenberg import without_licence
from squadlite.library.kinds import refuse_images
from squadlite.library.markup import page_blocks, page_types, parse_page, title_from_name
from squadlite.library.mobi.compression import (
    DamagedRecordError,
    HuffmanUnpacker,
    unpack_palmdoc,
)
from squadlite.library.mobi.header import KF8, Compression, Exth, Header, read_header
from squadlite.library.mobi.pages import (
    Line,
    Page,
    anchor_of,
    lines_of,
    read_pages,
    with_anchors,
)
from squadlite.library.mobi.records import Bytes, PalmDatabase
from squadlite.library.sections import split_chapters
from squadlite.library.structure import Block, Book, Chapter, Cover, join_blocks
from squadlite.library.text import read_text

MAX_TEXT_BYTES = 32 << 20
MAX_PAGES = 10_000
# Links in older books name a place in the markup; as ordinary links they are known for links.
_PLACE_LINK = re.compile(rb'\bfilepos\s*=\s*"?(\d{1,10})"?', re.IGNORECASE)
_IMAGE = re.compile(rb"<(?:img|image)\b", re.IGNORECASE)
_PRINT_REPLICA = b"%MOP"


@dataclass(frozen=True)
class _Edition:
    """One of the books in a file: an older and a newer may stand side by side."""

    database: PalmDatabase
    start: int
    header: Header

    def record(self, number: int) -> memoryview:
        """A record by its number from the edition's first."""
        return self.database.record(self.start + number)


def read_mobi(path: Path) -> Book:
    """
    Read a MOBI or AZW3 book, or a PalmDOC text. Of a file with both, AZW3's (KF8) is read.

    Chapters are as the table of contents has them; without one, the headings make them. Places
    ("#filepos123") count bytes of the book's markup.

    Raises:
        BrokenBookError: damaged or hostile, or without any text.
        ProtectedBookError: locked by DRM.
        UnsupportedBookError: a print replica, which is a PDF, or a book of images.
    """
    database = PalmDatabase(path)
    older, edition = _editions(database)
    header = edition.header
    if header.encryption:
        raise ProtectedBookError(
            f"{path.name}: locked by DRM (encryption {header.encryption}), which can't be read"
        )
    markup = _read_markup(edition)
    if header.version is None:
        return read_text(path, markup)
    if markup.startswith(_PRINT_REPLICA):
        raise UnsupportedBookError(f"{path.name}: a Kindle print replica, which is a PDF")
    title = next(iter(header.texts(Exth.TITLE)), "") or header.title or title_from_name(path)
    pages, lines = read_pages(markup, header, edition.record)
    if len(pages) > MAX_PAGES:
        raise database.broken(f"{len(pages)} pages, at most {MAX_PAGES}")
    chapters = _chapters(pages, lines, header, book_title=title)
    words = sum(len(chapter.text.split()) for chapter in chapters)
    refuse_images(path, words=words, images=len(_IMAGE.findall(markup)))
    if not chapters:
        raise database.broken(f"no text in any of {len(pages)} pages")
    return Book(
        title=title,
        author=", ".join(dict.fromkeys(header.texts(Exth.AUTHOR))),
        language=next(iter(header.texts(Exth.LANGUAGE)), "") or header.language,
        chapters=chapters,
        identifier=next(iter(header.texts(Exth.ISBN) + header.texts(Exth.ASIN)), ""),
        cover=_cover(older),
    )


def _editions(database: PalmDatabase) -> tuple[_Edition, _Edition]:
    """The first edition in a file, which has the images, and the newest."""
    header = read_header(database.record(0))
    if header is None:
        raise database.broken(f"a first record of {len(database.record(0))} bytes, no header")
    older = _Edition(database, 0, header)
    start = header.number(Exth.KF8_HEADER)
    if start is None or not 0 < start < len(database):
        return older, older
    newer = read_header(database.record(start))
    if newer is None or newer.version != KF8:
        return older, older
    return older, _Edition(database, start, newer)


def _read_markup(edition: _Edition) -> bytes:
    header, database = edition.header, edition.database
    markup = bytearray()
    number = 0
    try:
        unpack = _unpacker(edition)
        for number in range(1, header.text_records + 1):
            record = edition.record(number)
            markup += unpack(record[: _text_size(record, header.trailing_flags)])
            if len(markup) > MAX_TEXT_BYTES:
                raise database.broken(f"more than {MAX_TEXT_BYTES} bytes of text")
    except DamagedRecordError as error:
        raise database.broken(f"record {edition.start + number}: damaged ({error})") from error
    return bytes(markup)


def _unpacker(edition: _Edition) -> Callable[[Bytes], Bytes]:
    match edition.header.compression:
        case Compression.NONE:
            return bytes
        case Compression.PALMDOC:
            return unpack_palmdoc
        case Compression.HUFFMAN:
            first, count = edition.header.huff
            cdics = [edition.record(number) for number in range(first + 1, first + count)]
            return HuffmanUnpacker(edition.record(first), cdics)
        case other:
            expected = ", ".join(str(int(known)) for known in Compression)
            raise edition.database.broken(f"compression {other}, expected one of {expected}")


def _text_size(record: Bytes, flags: int) -> int:
    """
    The size of a record's text, without what stands behind it.

    Each flag but the lowest stands for an entry that ends with its own size, written backwards;
    the lowest for the bytes of a character that the record cuts in two.
    """
    size = len(record)
    for _ in range((flags >> 1).bit_count()):
        size -= _size_written_backwards(record, size)
    if flags & 1 and size > 0:
        size -= (record[size - 1] & 3) + 1
    return max(0, size)


def _size_written_backwards(record: Bytes, end: int) -> int:
    size = 0
    for shift, byte in enumerate(reversed(record[max(0, end - 4) : max(0, end)])):
        size |= (byte & 0x7F) << 7 * shift
        if byte & 0x80:
            break
    return size


def _chapters(
    pages: list[Page], lines: list[Line], header: Header, *, book_title: str
) -> tuple[Chapter, ...]:
    parts: list[tuple[str, str, list[Block]]] = []  # title, href, text
    for page in pages:
        inside = lines_of(page, lines)
        blocks = _text_of(page, inside, header, book_title=book_title)
        if not blocks:
            continue
        for part in split_page(blocks, _entries(inside, lines, blocks)):
            title = part.title or first_heading(part.blocks)
            if title or not parts:
                href = f"#{part.anchor or anchor_of(page.start)}"
                parts.append((title or book_title, href, part.blocks))
            else:  # a page break within a chapter
                parts[-1][2].extend(part.blocks)
    if not lines:
        everything = [block for _, _, blocks in parts for block in blocks]
        return split_chapters(everything, book_title=book_title)
    return tuple(
        Chapter(index, title, href, join_blocks(blocks))
        for index, (title, href, blocks) in enumerate(parts)
    )


def _entries(inside: list[Line], lines: list[Line], blocks: list[Block]) -> list[Entry]:
    """
    The lines that lead into a page, as entries.

    All lead to places; the first is for the page as a whole if it leads to its start, the others
    are below it, and the book has more such pages.
    """
    entries = [Entry(line.title, "", anchor_of(line.place), line.depth) for line in inside]
    if len(entries) < 2:
        return entries
    first, *others = entries
    is_whole = (
        first.anchor in blocks[0].anchors
        and all(entry.depth > first.depth for entry in others)
        and sum(line.depth <= first.depth for line in lines) > 1
    )
    return [replace(first, anchor="")] if is_whole else entries


def _text_of(page: Page, lines: list[Line], header: Header, *, book_title: str) -> list[Block]:
    """The text of a page; none where it is not the author's."""
    markup = _PLACE_LINK.sub(rb'href="#filepos\1"', with_anchors(page, lines))
    source = clean_controls(header.decode(markup)) if header.encoding else decode(markup)
    root = parse_page(source)
    blocks = [] if root is None else without_licence(page_blocks(root))
    if root is None or not blocks or is_title_page(book_title, blocks) or is_contents(blocks):
        return []
    # A page has no name, but its title serves: "Imprint", "List of Illustrations".
    name = (lines[0].title if lines else blocks[0].text).replace(" ", "-")
    return [] if is_publishers_page(name, page_types(root), blocks) else blocks


def _cover(edition: _Edition) -> Cover | None:
    first, offset = edition.header.first_image, edition.header.number(Exth.COVER)
    if first is None or offset is None:
        return None
    try:
        return Cover.from_image(bytes(edition.record(first + offset)))
    except BrokenBookError:
        return None
