"""Books of one HTML page."""

from pathlib import Path

from lxml import etree

from squadlite.errors import BrokenBookError
from squadlite.library.decoding import decode
from squadlite.library.gutenberg import read_header, split_title, without_licence
from squadlite.library.markup import (
    local_name,
    page_blocks,
    parse_page,
    text_content,
    title_from_name,
)
from squadlite.library.sections import split_chapters
from squadlite.library.structure import Book

_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_AUTHOR_NAMES = frozenset(["author", "dc.creator", "dcterms.creator"])


def read_html(path: Path, data: bytes) -> Book:
    """
    Read a book of one HTML page; its headings make the chapters.

    Raises:
        BrokenBookError: no text.
    """
    return book_from_page(path, decode(data, declared=True))


def book_from_page(
    path: Path, source: str, *, title: str = "", author: str = "", language: str = ""
) -> Book:
    """
    Make a book of a page's source (see `read_html`).

    Args:
        path: the file, for messages and for the title of last resort.
        source: HTML.
        title, author, language: what is known of them already.
    """
    root = parse_page(source)
    found = [] if root is None else page_blocks(root)
    header = read_header(found)
    blocks = without_licence(found)
    if root is None or not blocks:
        raise BrokenBookError(f"{path.name}: no text in the page")
    page_title, page_author = split_title(_page_title(root))
    title = title or header.title or page_title or _first_heading(root) or title_from_name(path)
    return Book(
        title=title,
        author=author or header.author or _meta_author(root) or page_author,
        language=language or root.get("lang") or root.get(_XML_LANG) or header.language,
        chapters=split_chapters(blocks, book_title=title),
        identifier=header.identifier,
    )


def _page_title(root: etree._Element) -> str:
    head = root.find(".//{*}head")
    title = None if head is None else head.find("{*}title")
    return "" if title is None else text_content(title)


def _first_heading(root: etree._Element) -> str:
    heading = root.find(".//{*}h1")
    return "" if heading is None else text_content(heading)


def _meta_author(root: etree._Element) -> str:
    authors = [
        (element.get("content") or "").strip()
        for element in root.iter()
        if local_name(element) == "meta" and (element.get("name") or "").lower() in _AUTHOR_NAMES
    ]
    return ", ".join(dict.fromkeys(author for author in authors if author))
