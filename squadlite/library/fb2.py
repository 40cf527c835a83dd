"""FictionBook 2: one XML file of nested sections, often in a ZIP archive of its own."""

import binascii
import re
from collections.abc import Iterator
from pathlib import Path

from lxml import etree

from squadlite.errors import BrokenBookError, UnsupportedBookError
from squadlite.library.archive import MAX_ITEM_BYTES, MAX_TOTAL_BYTES, BookArchive
from squadlite.library.frontmatter import is_publishers_page, is_title_page
from squadlite.library.gutenberg import without_licence
from squadlite.library.kinds import refuse_images
from squadlite.library.markup import (
    has_text,
    local_name,
    page_blocks,
    parse_xml,
    text_content,
    title_from_name,
)
from squadlite.library.sections import split_chapters
from squadlite.library.structure import (
    MAX_COVER_BYTES,
    Block,
    Book,
    Chapter,
    Cover,
    join_blocks,
)

_HREF = "{http://www.w3.org/1999/xlink}href"
# No other character may stand in base64, so that each piece of the file is looked at once.
_BINARY = re.compile(rb"<binary\b([^<>]*)>([^<]*)</binary\s*>")
_ID = re.compile(rb"""\bid\s*=\s*["']([^"']*)["']""")
# What each element is in HTML; those not named here mean the same there, or nothing.
_HTML_NAMES = {
    "annotation": "div",
    "cite": "blockquote",
    "empty-line": "hr",
    "epigraph": "blockquote",
    "poem": "div",
    "stanza": "p",
    "style": "span",
    "subtitle": "p",
    "text-author": "p",
    "title": "div",
}
# Some programs put whole chapters into a title.
MAX_TITLE_WORDS = 30


def read_fb2(path: Path) -> Book:
    """
    Read a FictionBook, as it is or zipped.

    Every section with a title is a chapter; one with sections alone, such as a part, only heads
    the first of them. Notes, which have a body of their own, are a chapter behind the others.

    Raises:
        BrokenBookError: damaged or hostile, or without any text.
        UnsupportedBookError: an archive of several books, or a book of images.
    """
    data = _read_file(path)
    # Images are left out before the text is parsed: they are most of many files.
    text = _BINARY.sub(b"", data)
    if len(text) > MAX_ITEM_BYTES:
        raise BrokenBookError(f"{path.name}: {len(text)} bytes of text, at most {MAX_ITEM_BYTES}")
    root = parse_xml(text)
    if root is None or local_name(root) != "fictionbook":
        raise BrokenBookError(f"{path.name}: not a FictionBook's XML")
    title = _first_text(root, "title-info", "book-title") or title_from_name(path).removesuffix(
        ".fb2"
    )
    main, notes = _bodies(root)
    blocks = [block for body in main for block in _body_blocks(body, book_title=title)]
    chapters = [*split_chapters(without_licence(blocks), book_title=title), *_note_chapters(notes)]
    words = sum(len(chapter.text.split()) for chapter in chapters)
    refuse_images(path, words=words, images=sum(1 for _ in _BINARY.finditer(data)))
    if not chapters:
        raise BrokenBookError(f"{path.name}: no text in the FictionBook")
    return Book(
        title=title,
        author=_authors(root),
        language=_first_text(root, "title-info", "lang"),
        chapters=tuple(
            Chapter(index, chapter.title, chapter.href, chapter.text)
            for index, chapter in enumerate(chapters)
        ),
        identifier=_first_text(root, "document-info", "id")
        or _first_text(root, "publish-info", "isbn"),
        cover=_cover(root, data),
    )


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            size = path.stat().st_size
            if size > MAX_TOTAL_BYTES:
                raise BrokenBookError(f"{path.name}: {size} bytes, at most {MAX_TOTAL_BYTES}")
            return path.read_bytes()
    with BookArchive(path) as archive:
        books = [name for name in archive.names() if name.lower().endswith(".fb2")]
        if len(books) != 1:
            raise UnsupportedBookError(
                f"{path.name}: {len(books)} FictionBooks in one archive, expected one"
            )
        return archive.read(books[0], limit=MAX_TOTAL_BYTES)


def _first_text(root: etree._Element, part: str, name: str) -> str:
    """The text of an element of one part of the description; "" where it isn't there."""
    found = root.find(f"{{*}}description/{{*}}{part}/{{*}}{name}")
    return "" if found is None else text_content(found)


def _authors(root: etree._Element) -> str:
    authors = []
    for author in root.iterfind("{*}description/{*}title-info/{*}author"):
        parts = {local_name(part): text_content(part) for part in author}
        names = (parts.get(f"{which}-name", "") for which in ("first", "middle", "last"))
        authors.append(" ".join(name for name in names if name) or parts.get("nickname", ""))
    return ", ".join(dict.fromkeys(author for author in authors if author))


def _cover(root: etree._Element, data: bytes) -> Cover | None:
    image = root.find("{*}description/{*}title-info/{*}coverpage/{*}image")
    name = "" if image is None else (image.get(_HREF) or image.get("href") or "")
    if not name.startswith("#"):
        return None
    for binary in _BINARY.finditer(data):
        found = _ID.search(binary[1])
        if found is None or found[1] != name[1:].encode():
            continue
        if len(binary[2]) > 2 * MAX_COVER_BYTES:  # base64 and its line ends
            return None
        try:
            return Cover.from_image(binascii.a2b_base64(binary[2]))
        except binascii.Error:
            return None
    return None


def _bodies(root: etree._Element) -> tuple[list[etree._Element], list[etree._Element]]:
    """The bodies of the running text, and those beside it, which have names such as "notes"."""
    bodies = list(root.iterfind("{*}body"))
    beside = [body for body in bodies[1:] if body.get("name")]
    return [body for body in bodies if body not in beside], beside


def _body_blocks(body: etree._Element, *, book_title: str) -> Iterator[Block]:
    _turn_into_html(body)
    for part in body.iterchildren(etree.Element):
        blocks = page_blocks(part)
        if not blocks or is_title_page(book_title, blocks):
            continue
        # A section's first line serves as a page's name: "Imprint", "List of Illustrations".
        name = blocks[0].text.replace(" ", "-")
        if not is_publishers_page(name, set(), blocks):
            yield from blocks


def _note_chapters(bodies: list[etree._Element]) -> list[Chapter]:
    chapters = []
    for body in bodies:
        title = body.find("{*}title")
        name = "" if title is None else text_content(title)
        if title is not None:
            body.remove(title)
        _turn_into_html(body)
        blocks = page_blocks(body)
        if blocks:
            name = name or (body.get("name") or "").capitalize()
            chapters.append(Chapter(0, name, "", join_blocks(blocks)))
    return chapters


def _turn_into_html(body: etree._Element) -> None:
    """Name the elements as HTML does: titles of sections become headings, all of one level."""
    for heading in _headings(body):
        heading.tag = "h1"
        _break_lines(heading)
    for element in body.iter(etree.Element):
        name = local_name(element)
        if name == "stanza":
            _break_lines(element)
        elif name == "a":
            element.set("href", element.get(_HREF, ""))
            if element.get("type") == "note":
                element.set("role", "doc-noteref")
        if name in _HTML_NAMES:
            element.tag = _HTML_NAMES[name]


def _headings(body: etree._Element) -> list[etree._Element]:
    """What heads the sections; where nothing does, every paragraph in bold."""
    found = [_heading(section) for section in body.iterfind(".//{*}section")]
    headings = [heading for heading in found if heading is not None]
    return headings or [line for line in body.iterfind(".//{*}section/{*}p") if _is_bold(line)]


def _heading(section: etree._Element) -> etree._Element | None:
    """What heads a section: its title; else, as other programs write it, a bold paragraph."""
    for child in section.iterchildren(etree.Element):
        if local_name(child) == "title" and len(text_content(child).split()) > MAX_TITLE_WORDS:
            return _heading(child)
        if has_text(child):
            return child if local_name(child) == "title" or _is_bold(child) else None
    return None


def _is_bold(paragraph: etree._Element) -> bool:
    """Whether a paragraph is one piece in bold, short enough for a title."""
    is_one_piece = (
        local_name(paragraph) == "p"
        and len(paragraph) == 1
        and local_name(paragraph[0]) == "strong"
    )
    if not is_one_piece:
        return False
    text = text_content(paragraph)
    return text_content(paragraph[0]) == text and len(text.split()) <= MAX_TITLE_WORDS


def _break_lines(element: etree._Element) -> None:
    """Make the paragraphs or verses in an element lines of one block."""
    for line in element.iterchildren(etree.Element):
        if local_name(line) in ("p", "v"):
            line.tag = "span"
            line.addnext(etree.Element("br"))
